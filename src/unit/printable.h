// How what a user wrote appears in a message.
#pragma once

#include <string>
#include <string_view>

namespace fleet {

// `text` in double quotes: what is not printable ASCII as \xNN, the end of a long text as "...". So
// no byte of a unit file can garble a terminal, a log or JSON.
std::string printable(std::string_view text);

}  // namespace fleet
