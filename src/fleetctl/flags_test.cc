// Compares the table of commands with all commands and flags of 1.0
// (tests/golden/fleetctl-flags.json): their names, types and defaults.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "fleetctl/command.h"

namespace fleet::ctl {
namespace {

namespace json = boost::json;

const std::map<std::string_view, FlagType> kTypes{{"bool", FlagType::boolean},
                                                  {"int", FlagType::integer},
                                                  {"float", FlagType::number},
                                                  {"string", FlagType::text}};

// `recorded` is called --full or, for a short form, --l.
const FlagSpec* find(std::span<const FlagSpec> flags, std::string_view recorded) {
  const std::string_view name = recorded.substr(2);
  const auto found = std::ranges::find_if(flags, [&](const FlagSpec& flag) {
    return flag.name == name || (name.size() == 1 && flag.shorthand == name.front());
  });
  return found == flags.end() ? nullptr : &*found;
}

void compare(const json::array& recorded, std::span<const FlagSpec> flags) {
  for (const json::value& entry : recorded) {
    const std::string_view name = entry.at("flag").as_string();
    SCOPED_TRACE(name);
    const FlagSpec* flag = find(flags, name);
    ASSERT_NE(flag, nullptr);
    EXPECT_EQ(flag->type, kTypes.at(entry.at("type").as_string()));
    const json::value& recorded_default = entry.at("default");
    // What has no default is nothing, no or none.
    if (recorded_default.is_string()) {
      EXPECT_EQ(flag->default_value, std::string_view(recorded_default.as_string()));
    } else {
      EXPECT_TRUE(flag->default_value.empty() || flag->default_value == "0");
    }
  }
}

TEST(Commands, HaveAllFlagsOf1_0) {
  std::ifstream in(FLEET_SOURCE_DIR "/tests/golden/fleetctl-flags.json");
  const json::object all =
      json::parse(std::string(std::istreambuf_iterator<char>(in), {})).as_object();
  compare(all.at("global").as_array(), global_flags());
  for (const auto& [name, recorded] : all) {
    if (name == "global") continue;
    SCOPED_TRACE(std::string_view(name));
    const Command* command = find_command(name);
    ASSERT_NE(command, nullptr);
    compare(recorded.at("options").as_array(), command->flags);
  }
  constexpr std::string_view kAdded[] = {"info"};
  for (const std::string_view name : kAdded) EXPECT_NE(find_command(name), nullptr) << name;
  EXPECT_EQ(commands().size(), all.size() - 1 + std::size(kAdded)) << "all of 1.0, and these";
}

}  // namespace
}  // namespace fleet::ctl
