// The few forms that an answer of the API has.
#pragma once

#include <string>
#include <string_view>

#include "api/api.h"
#include "base/error.h"

namespace fleet {

ApiResponse json_answer(std::string body);
ApiResponse error_answer(int status, std::string_view message);
ApiResponse text_answer(int status, std::string body);
ApiResponse empty_answer(int status);  // no body and no media type

// For a read that the store did not answer.
ApiResponse unavailable_answer(const Error& error);

// For a write that ended in an error: says whether something may have been changed.
ApiResponse write_error_answer(const Error& error);

}  // namespace fleet
