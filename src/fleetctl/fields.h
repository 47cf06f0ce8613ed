// The columns of a list, as --fields names them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "fleetctl/command.h"

namespace fleet::ctl {

template <class Item>
using Fields = std::map<std::string, std::function<Cell(const Item&)>, std::less<>>;

// Says what is wrong with the flags; returns the exit code.
inline int refused(Context& context, const Error& error) {
  context.err << error.message << "\n";
  return 1;
}

// Whether --output asks for JSON (json.h) and not for a table.
// Fails: invalid (neither, or JSON of some fields only).
inline Result<bool> wants_json(const Flags& flags) {
  const std::string& format = flags.text("output");
  if (format == "table") return false;
  if (format != "json") {
    return fail(ErrorCode::invalid,
                fmt::format("Invalid output format: \"{}\" (write table or json)", format));
  }
  if (flags.given("fields")) {
    return fail(ErrorCode::invalid, "--fields is for tables: leave it out, JSON has all fields");
  }
  return true;
}

// The fields that --fields asks for. Fails: invalid, with 1.0's words.
template <class Item>
Result<std::vector<std::string>> chosen_fields(const Flags& flags, const Fields<Item>& known) {
  const std::string& text = flags.text("fields");
  if (text.empty()) return fail(ErrorCode::invalid, "Must define output format");
  std::vector<std::string> fields;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    fields.push_back(text.substr(begin, end - begin));
    begin = end + 1;
    if (!known.contains(fields.back())) {
      return fail(ErrorCode::invalid,
                  fmt::format("Invalid key in output format: \"{}\"", fields.back()));
    }
  }
  return fields;
}

// The whole list as text, with its legend unless --no-legend says otherwise.
template <class Item>
std::string list_text(const Context& context, const Fields<Item>& known,
                      const std::vector<std::string>& fields, const std::vector<Item>& items) {
  std::vector<Row> rows;
  if (!context.flags.flag("no-legend")) {
    Row& legend = rows.emplace_back();
    for (std::string field : fields) {
      for (char& c : field) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
      legend.emplace_back(std::move(field));
    }
  }
  for (const Item& item : items) {
    Row& row = rows.emplace_back();
    for (const std::string& field : fields) row.push_back(known.find(field)->second(item));
  }
  return table(rows, context.coloured);
}

}  // namespace fleet::ctl
