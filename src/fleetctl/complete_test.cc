#include "fleetctl/complete.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace fleet::ctl {
namespace {

using Words = std::vector<std::string>;

Completion completed(const Words& words) {
  return complete(words, [](const std::string&) { return std::nullopt; });
}

// The candidates that go on as the last of `words` begins, with what is to be asked for as @KIND.
Words candidates(const Words& words) {
  const Completion completion = completed(words);
  Words found;
  for (const Candidate& candidate : completion.candidates) {
    if (candidate.word.starts_with(completion.begun)) {
      found.push_back(completion.before + candidate.word);
    }
  }
  if (completion.files) found.emplace_back("@files");
  if (completion.machines) found.emplace_back("@machines");
  if (completion.units) found.emplace_back("@units");
  return found;
}

bool has(const Words& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

TEST(Complete, Commands) {
  EXPECT_EQ(candidates({"list-u"}), (Words{"list-unit-files", "list-units"}));
  EXPECT_EQ(candidates({"help", "l"}),
            (Words{"list-machines", "list-unit-files", "list-units", "load"}));
  EXPECT_EQ(candidates({"--debug", "u"}), Words{"unload"});
  EXPECT_EQ(candidates({"--endpoint", "http://a", "u"}), Words{"unload"});
}

// No command and no flag is forgotten, for all come from one table; what is retired is not offered.
TEST(Complete, OffersAllCommandsAndFlagsButTheRetiredOnes) {
  const Words all = candidates({""});
  for (const Command& command : commands()) {
    EXPECT_EQ(has(all, std::string(command.name)), command.name != "verify") << command.name;
    const Words flags = candidates({std::string(command.name), "--"});
    for (const auto& specs : {command.flags, global_flags()}) {
      for (const FlagSpec& flag : specs) {
        EXPECT_EQ(has(flags, "--" + std::string(flag.name)), !flag.help.starts_with("DEPRECATED"))
            << command.name << " --" << flag.name;
      }
    }
  }
}

TEST(Complete, EveryCommandThatTakesArgumentsSaysWhich) {
  for (const Command& command : commands()) {
    const std::string_view usage = command.usage.substr(command.usage.rfind(']') + 1);
    const bool takes = usage.find_first_of("SU") != std::string_view::npos ||
                       command.name == "ssh" || command.name == "help";
    EXPECT_EQ(command.arguments.empty(), !takes || command.name == "verify") << command.name;
  }
}

TEST(Complete, Arguments) {
  EXPECT_EQ(candidates({"start", ""}), (Words{"@files", "@units"}));
  EXPECT_EQ(candidates({"start", "a", "b"}), (Words{"@files", "@units"}));
  EXPECT_EQ(candidates({"start", "--no-block", ""}), (Words{"@files", "@units"}));
  EXPECT_EQ(candidates({"start", "--", "-"}), (Words{"@files", "@units"}));
  EXPECT_EQ(candidates({"destr", "x"}), Words{"@units"}) << "the command may be abbreviated";
  EXPECT_EQ(candidates({"cat", ""}), Words{"@units"});
  EXPECT_EQ(candidates({"cat", "a", ""}), Words{}) << "it takes one";
  EXPECT_EQ(candidates({"ssh", ""}), (Words{"@machines", "@units"}));
  EXPECT_EQ(candidates({"ssh", "a", ""}), Words{}) << "a command of the machine";
  EXPECT_EQ(candidates({"ssh", "--unit", "a", ""}), Words{});
  EXPECT_EQ(candidates({"fd-forward", ""}), Words{"@files"});
  EXPECT_EQ(candidates({"list-units", ""}), Words{});
  EXPECT_EQ(candidates({"nosuch", ""}), Words{});
  EXPECT_EQ(candidates({"start", "--nosuch", ""}), Words{});
  EXPECT_EQ(candidates({}), Words{});
}

TEST(Complete, ValuesOfFlags) {
  EXPECT_EQ(candidates({"list-units", "-o", ""}), (Words{"table", "json"}));
  EXPECT_EQ(candidates({"list-units", "--output=j"}), Words{"--output=json"});
  EXPECT_EQ(candidates({"journal", "--output", "c"}), Words{"cat"});
  EXPECT_EQ(candidates({"ssh", "--machine", ""}), Words{"@machines"});
  EXPECT_EQ(candidates({"ssh", "--unit=", ""}), Words{}) << "a value that is empty is one";
  EXPECT_EQ(candidates({"--ca-file", ""}), Words{"@files"});
  EXPECT_EQ(candidates({"--endpoint", ""}), Words{});
  EXPECT_EQ(candidates({"--debug="}), (Words{"--debug=true", "--debug=false"}));
  EXPECT_EQ(candidates({"list-units", "--nosuch="}), Words{});
}

TEST(Complete, ListsOfFields) {
  EXPECT_EQ(candidates({"list-machines", "--fields", ""}), (Words{"machine", "ip", "metadata"}));
  EXPECT_EQ(candidates({"list-machines", "--fields", "ip,m"}),
            (Words{"ip,machine", "ip,metadata"}));
  EXPECT_EQ(candidates({"list-machines", "--fields=ip,machine,"}),
            Words{"--fields=ip,machine,metadata"});
}

// The values are written twice in the table: for people and for completion.
TEST(Complete, ListsOfFieldsAreThoseOfTheHelpText) {
  for (const Command& command : commands()) {
    for (const FlagSpec& flag : command.flags) {
      if (flag.name != "fields") continue;
      EXPECT_TRUE(flag.help.ends_with("\"" + std::string(flag.values) + "\"")) << command.name;
    }
  }
}

TEST(Complete, Text) {
  Completion completion = completed({"ssh", "--unit=he"});
  completion.candidates = {
      {"hello.service", "launched"}, {"other.service", ""}, {"heap.timer", ""}};
  EXPECT_EQ(completion_text(completion), "--unit=hello.service\tlaunched\n--unit=heap.timer\n");
  EXPECT_EQ(completion_text(completed({"fd-forward", "x"})), ":files\n");
}

TEST(Complete, NamesOfTheCluster) {
  StatusEntity status;
  for (const char* name : {"a.service", "b.service", "gone.service"}) {
    UnitStatusEntity unit;
    unit.name = name;
    unit.desired_state = "launched";
    unit.destroyed = unit.name == "gone.service";
    status.units.push_back(std::move(unit));
  }
  EXPECT_EQ(unit_candidates(status, {"b.service"}),
            (std::vector<Candidate>{{"a.service", "launched"}}));

  MachineEntity machine;
  machine.id = "0e3a9c30ddfb4eae8bdaf53ec6464b74";
  machine.primary_ip = "10.0.0.1";
  machine.metadata = {{"az", "z\t1"}};
  EXPECT_EQ(machine_candidates({machine}, "0"),
            (std::vector<Candidate>{{"0e3a9c30", "10.0.0.1 az=z 1"}}));
  EXPECT_EQ(machine_candidates({machine}, "0e3a9c30dd"),
            (std::vector<Candidate>{{"0e3a9c30dd", "10.0.0.1 az=z 1"}}));
}

}  // namespace
}  // namespace fleet::ctl
