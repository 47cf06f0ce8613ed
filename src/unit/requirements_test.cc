#include "unit/requirements.h"

#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fleet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

UnitFile with_fleet_options(const std::string& lines) {
  const auto file = parse_unit_file("[Service]\nExecStart=/bin/true\n[X-Fleet]\n" + lines);
  EXPECT_TRUE(file.has_value()) << lines;
  return file ? *file : UnitFile();
}

Requirements requirements_in(const std::string& lines, std::string_view name = "app@1.service") {
  return requirements_of(with_fleet_options(lines), split_unit_name(name));
}

TEST(RequirementsOf, AreNoneWithoutOptions) {
  EXPECT_EQ(requirements_in(""), Requirements());
  const UnitFile elsewhere{{{"Unit", "MachineOf", "a.service"}, {"x-fleet", "Global", "true"}}};
  EXPECT_EQ(requirements_of(elsewhere, split_unit_name("a.service")), Requirements());
}

TEST(RequirementsOf, ReadsEveryOption) {
  const Requirements wanted = requirements_in(
      "MachineID=abc\n"
      "MachineOf=b.service\n"
      "MachineMetadata=disk=ssd\n"
      "Conflicts=c*\n"
      "Replaces=d.service\n"
      "Global=true\n");
  EXPECT_EQ(wanted.machine_id, "abc");
  EXPECT_THAT(wanted.machine_of, ElementsAre("b.service"));
  EXPECT_THAT(wanted.metadata, ElementsAre(Pair("disk", ElementsAre("ssd"))));
  EXPECT_THAT(wanted.conflicts, ElementsAre("c*"));
  EXPECT_THAT(wanted.replaces, ElementsAre("d.service"));
  EXPECT_TRUE(wanted.global);
}

TEST(RequirementsOf, OptionNamesAreCaseSensitive) {
  EXPECT_EQ(requirements_in("machineid=a\nMachineof=b\nGLOBAL=true\nconflicts=c\nX-Replaces=d\n"),
            Requirements());
}

TEST(RequirementsOf, TakesTheFirstMachineIdOfTheFirstName) {
  EXPECT_EQ(requirements_in("MachineID=a\nMachineID=b\n").machine_id, "a");
  EXPECT_EQ(requirements_in("X-ConditionMachineBootID=c\nX-ConditionMachineID=b\nMachineID=a\n")
                .machine_id,
            "a");
  EXPECT_EQ(requirements_in("X-ConditionMachineBootID=c\nX-ConditionMachineID=b\n").machine_id,
            "b");
  EXPECT_EQ(requirements_in("X-ConditionMachineBootID=c\n").machine_id, "c");
  EXPECT_EQ(requirements_in("MachineID=\nX-ConditionMachineID=b\n").machine_id, "");
  EXPECT_EQ(requirements_in("Global=false\n").machine_id, std::nullopt);
}

TEST(RequirementsOf, MachineOfIsNotSplitAtBlanks) {
  EXPECT_THAT(requirements_in("MachineOf=b.service c.service\nX-ConditionMachineOf=a.service\n"
                              "MachineOf=\"d.service\" \"e.service\"\n")
                  .machine_of,
              ElementsAre("a.service", "b.service c.service", "d.service", "e.service"));
}

TEST(RequirementsOf, MetadataOfOneKeyAreAlternatives) {
  EXPECT_THAT(requirements_in("MachineMetadata=disk=ssd\n"
                              "MachineMetadata=\"region=eu\" \"disk=nvme\"\n"
                              "X-ConditionMachineMetadata=az=z1\n"
                              "MachineMetadata=disk=ssd\n")
                  .metadata,
              ElementsAre(Pair("az", ElementsAre("z1")), Pair("disk", ElementsAre("ssd", "nvme")),
                          Pair("region", ElementsAre("eu"))));
}

// section 8, row 17: what the warnings below are for.
TEST(RequirementsOf, IgnoresMalformedMetadata) {
  EXPECT_THAT(requirements_in("MachineMetadata=nonsense\n"
                              "MachineMetadata=a=b c=d\n"
                              "MachineMetadata=a=b=c\n"
                              "MachineMetadata==b\n"
                              "MachineMetadata=a=\n"
                              "MachineMetadata==\n"
                              "MachineMetadata=\n"
                              "MachineMetadata='a=b' 'c=d'\n"
                              "MachineMetadata=\"a=b\"  \"c=d\"\n")
                  .metadata,
              ElementsAre(Pair("a", ElementsAre("b")), Pair("c", ElementsAre("d"))));
  EXPECT_THAT(requirements_in("MachineMetadata=\"a b= c\"\n").metadata,
              ElementsAre(Pair("a b", ElementsAre(" c"))));
}

TEST(RequirementsOf, SplitsConflictsAtWhiteSpace) {
  EXPECT_THAT(requirements_in("Conflicts=b*  c*\td*\nX-Conflicts=a*\nConflicts=\n"
                              "Conflicts=\"e* f*\" \"g*\"\nConflicts=h*\xC2\xA0i*\n")
                  .conflicts,
              ElementsAre("a*", "b*", "c*", "d*", "e*", "f*", "g*", "h*", "i*"));
}

TEST(RequirementsOf, DoesNotSplitReplaces) {
  EXPECT_THAT(requirements_in("Replaces=a* b*\nReplaces=\n").replaces, ElementsAre("a* b*", ""));
}

TEST(RequirementsOf, TheLastGlobalWins) {
  for (const std::string yes : {"true", "yes", "1", "on", "t", "TRUE", "Yes", "oN", "T"}) {
    EXPECT_TRUE(requirements_in("Global=false\nGlobal=" + yes + "\n").global) << yes;
  }
  for (const std::string no : {"false", "no", "0", "off", "f", "", "maybe", "y", "true ish"}) {
    EXPECT_FALSE(requirements_in("Global=true\nGlobal=" + no + "\n").global) << no;
  }
}

TEST(RequirementsOf, SeveralQuotedValuesStandOnOneLine) {
  const auto values = [](const std::string& line) {
    return requirements_in("Replaces=" + line + "\n").replaces;
  };
  EXPECT_THAT(values(R"("a=b" "c=d")"), ElementsAre("a=b", "c=d"));
  EXPECT_THAT(values(R"("a=b"  "c=d")"), ElementsAre("a=b", "", "c=d"));
  EXPECT_THAT(values(R"("a""b")"), ElementsAre("ab"));
  EXPECT_THAT(values(R"("a=b" c=d "e=f")"), ElementsAre("a=b", "c=d", "e=f"));
  EXPECT_THAT(values(R"("a b" "c")"), ElementsAre("a b", "c"));
  EXPECT_THAT(values("\"a\"\t\"b\""), ElementsAre("a\tb"));
  EXPECT_THAT(values(R"("a" b)"), ElementsAre(R"("a" b)"));
  EXPECT_THAT(values(R"('a' 'b')"), ElementsAre(R"('a' 'b')"));
  EXPECT_THAT(values(R"("")"), ElementsAre(""));
  EXPECT_THAT(values(R"(")"), ElementsAre(""));
  EXPECT_THAT(values(R"("a" b")"), ElementsAre("a", "b"));
}

TEST(RequirementsOf, ReplacesSpecifiers) {
  const Requirements wanted = requirements_in(
      "MachineID=%i\nMachineOf=web@%i.service\nMachineMetadata=%p=%N\n"
      "Conflicts=%p@*.service %n\nReplaces=%H\nGlobal=%i\n");
  EXPECT_EQ(wanted.machine_id, "1");
  EXPECT_THAT(wanted.machine_of, ElementsAre("web@1.service"));
  EXPECT_THAT(wanted.metadata, ElementsAre(Pair("app", ElementsAre("app@1"))));
  EXPECT_THAT(wanted.conflicts, ElementsAre("app@*.service", "app@1.service"));
  EXPECT_THAT(wanted.replaces, ElementsAre("%H"));
  EXPECT_TRUE(wanted.global);
}

std::vector<std::string> warnings_about(const UnitFile& file) {
  std::vector<std::string> texts;
  for (const OptionWarning& warning : option_warnings(file)) texts.push_back(warning.text);
  return texts;
}

TEST(OptionWarnings, NameTheOption) {
  const UnitFile file{{{"Service", "A", "1"}, {"X-Fleet", "Nosuch", "1"}, {"X-Fleet", "Or", ""}}};
  const auto warnings = option_warnings(file);
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_EQ(warnings[0].option, 1u);
  EXPECT_EQ(warnings[1].option, 2u);
}

TEST(OptionWarnings, NameUnknownOptions) {
  EXPECT_THAT(
      warnings_about(with_fleet_options("Nonsense=1\nGlobal=true\nmachineOf=a\n")),
      ElementsAre("unrecognized requirement in [X-Fleet] section: \"Nonsense\" has no effect",
                  "unrecognized requirement in [X-Fleet] section: \"machineOf\" has no effect"));
}

TEST(OptionWarnings, NameMalformedMetadata) {
  EXPECT_THAT(warnings_about(with_fleet_options("MachineMetadata=nonsense\n"
                                                "X-ConditionMachineMetadata=\"a=b\" \"c=\"\n")),
              ElementsAre("MachineMetadata value \"nonsense\" in [X-Fleet] section is not one "
                          "key=value pair and has no effect",
                          "X-ConditionMachineMetadata value \"c=\" in [X-Fleet] section is not one "
                          "key=value pair and has no effect"));
}

// section 8, row 16.
TEST(OptionWarnings, SayHowToWriteSeveralPairs) {
  EXPECT_THAT(warnings_about(with_fleet_options("MachineMetadata=a=b c=d\n")),
              ElementsAre(HasSubstr("in double quotes or on a line of its own")));
}

TEST(OptionWarnings, AreNoneForGoodOptions) {
  EXPECT_THAT(warnings_about(with_fleet_options(
                  "MachineID=a\nX-ConditionMachineID=a\nX-ConditionMachineBootID=a\n"
                  "MachineOf=a\nX-ConditionMachineOf=a\nMachineMetadata=\"a=b\" \"c=d\"\n"
                  "X-ConditionMachineMetadata=a=b\nConflicts=a b\nX-Conflicts=a\nReplaces=a\n"
                  "Global=maybe\n")),
              IsEmpty());
  const UnitFile elsewhere{{{"Service", "Nonsense", "1"}}};
  EXPECT_THAT(warnings_about(elsewhere), IsEmpty());
}

// section 8, row 15.
TEST(MachineIdMatches, WholeIdOrItsFirstEightCharacters) {
  const std::string id = "0e3a9c30ddfb4eae8bdaf53ec6464b74";
  EXPECT_TRUE(machine_id_matches(id, id));
  EXPECT_TRUE(machine_id_matches("0e3a9c30", id));
  EXPECT_FALSE(machine_id_matches("0e3a9c3", id));
  EXPECT_FALSE(machine_id_matches("0e3a9c30d", id));
  EXPECT_FALSE(machine_id_matches("0e3a9c31", id));
  EXPECT_FALSE(machine_id_matches(id + "0", id));
  EXPECT_FALSE(machine_id_matches("", id));
  EXPECT_FALSE(machine_id_matches("", ""));
  EXPECT_TRUE(machine_id_matches("short", "short"));
  EXPECT_FALSE(machine_id_matches("0e3a9c30", "0e3a9c3"));
}

}  // namespace
}  // namespace fleet
