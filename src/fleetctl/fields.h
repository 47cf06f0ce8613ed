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
using Fields = std::map<std::string, std::function<std::string(const Item&)>, std::less<>>;

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
std::string list_text(const Flags& flags, const Fields<Item>& known,
                      const std::vector<std::string>& fields, const std::vector<Item>& items) {
  std::vector<Row> rows;
  if (!flags.flag("no-legend")) {
    Row& legend = rows.emplace_back();
    for (std::string field : fields) {
      for (char& c : field) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
      legend.push_back(std::move(field));
    }
  }
  for (const Item& item : items) {
    Row& row = rows.emplace_back();
    for (const std::string& field : fields) row.push_back(known.find(field)->second(item));
  }
  return table(rows);
}

}  // namespace fleet::ctl
