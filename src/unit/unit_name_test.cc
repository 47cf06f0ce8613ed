#include "unit/unit_name.h"

#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fleet {
namespace {

using testing::HasSubstr;

void expect_bad_name(std::string_view name, const std::string& reason) {
  const Status status = check_unit_name(name);
  ASSERT_FALSE(status.has_value()) << name;
  EXPECT_EQ(status.error().code, ErrorCode::invalid) << name;
  EXPECT_THAT(status.error().message, HasSubstr(reason)) << name;
}

// section 8, row 19: the backslash too.
TEST(CheckUnitName, TakesWhatTheApiTakes) {
  for (const std::string_view name :
       {".service",        "..service",     "a.service",   "ok:._-@1.service", "\\x2d.service",
        "x\\x2dy.service", "a@b@c.service", "tmpl@.timer", "a@.target",        "a@1.socket",
        "a@.path",         "a.slice",       "a.socket",    "a.target",         "a.path",
        "a.timer",         "a.mount",       "a.automount", "a.busname",        "a.device",
        "a.scope",         "a.snapshot",    "a.swap",      "a.service.service"}) {
    EXPECT_TRUE(check_unit_name(name).has_value()) << name;
  }
}

TEST(CheckUnitName, Takes256Bytes) {
  EXPECT_TRUE(check_unit_name(std::string(248, 'x') + ".service").has_value());
  expect_bad_name(std::string(249, 'x') + ".service", "257 bytes");
}

// section 8, row 20: 1.0 took some of these and could never unload them.
TEST(SystemdCanHave, LessThanTheApiTakes) {
  for (const char* name : {"a.service", "a@1.service", "a@b@c.service", "..service", "a.target",
                           "a.slice", "a.swap", "a.scope", "a.device", "a.mount"}) {
    EXPECT_TRUE(systemd_can_have(name)) << name;
  }
  const std::string longest = std::string(247, 'a') + ".service";
  EXPECT_TRUE(systemd_can_have(longest));
  for (const std::string& name :
       {std::string(".service"), std::string("a@.service"), std::string("a.busname"),
        std::string("a.snapshot"), "a" + longest}) {
    EXPECT_TRUE(check_unit_name(name)) << name;
    EXPECT_FALSE(systemd_can_have(name)) << name;
  }
}

TEST(CheckUnitName, SaysWhichRuleIsBroken) {
  expect_bad_name("", "cannot be empty");
  expect_bad_name("noext", "must contain \".\"");
  expect_bad_name("a.", "cannot end in \".\"");
  expect_bad_name("a.bogus", "\"bogus\" is not a unit type");
  expect_bad_name("a.Service", "\"Service\" is not a unit type");
  expect_bad_name("a@.mount", "\"@\" cannot occur");
  expect_bad_name("a@1.slice", "\"@\" cannot occur");
  expect_bad_name("a b.service", "cannot contain \" \"");
  expect_bad_name("a/b.service", "cannot contain \"/\"");
  expect_bad_name("\xc3\xa9.service", "cannot contain \"\\xc3\"");
  expect_bad_name("@a.service", "cannot start with \"@\"");
  expect_bad_name(std::string_view("a\0.service", 10), "cannot contain \"\\x00\"");
}

// A name that breaks several rules is told about the first of them.
TEST(CheckUnitName, ChecksInOrder) {
  expect_bad_name(std::string(300, ' '), "bytes");
  expect_bad_name("a b", "must contain");
  expect_bad_name("@ b.", "cannot end");
  expect_bad_name("@ b.bogus", "not a unit type");
  expect_bad_name("@ b.mount", "\"@\" cannot occur");
  expect_bad_name("@ b.service", "cannot contain");
}

TEST(SplitUnitName, FindsTheParts) {
  const UnitName plain = split_unit_name("hello.service");
  EXPECT_EQ(plain.full, "hello.service");
  EXPECT_EQ(plain.name, "hello");
  EXPECT_EQ(plain.prefix, "hello");
  EXPECT_EQ(plain.instance, "");
  EXPECT_EQ(plain.suffix, ".service");
  EXPECT_FALSE(plain.has_at);
  EXPECT_FALSE(plain.is_template());
  EXPECT_FALSE(plain.is_instance());
}

TEST(SplitUnitName, TellsTemplatesFromInstances) {
  const UnitName blueprint = split_unit_name("apache@.service");
  EXPECT_EQ(blueprint.name, "apache@");
  EXPECT_EQ(blueprint.prefix, "apache");
  EXPECT_EQ(blueprint.instance, "");
  EXPECT_TRUE(blueprint.is_template());
  EXPECT_FALSE(blueprint.is_instance());
  EXPECT_EQ(blueprint.template_name(), "apache@.service");

  const UnitName instance = split_unit_name("apache@1.service");
  EXPECT_EQ(instance.name, "apache@1");
  EXPECT_EQ(instance.prefix, "apache");
  EXPECT_EQ(instance.instance, "1");
  EXPECT_FALSE(instance.is_template());
  EXPECT_TRUE(instance.is_instance());
  EXPECT_EQ(instance.template_name(), "apache@.service");
}

TEST(SplitUnitName, SplitsAtTheFirstAtAndTheLastDot) {
  const UnitName name = split_unit_name("a.b@c@d.e.service");
  EXPECT_EQ(name.prefix, "a.b");
  EXPECT_EQ(name.instance, "c@d.e");
  EXPECT_EQ(name.suffix, ".service");
}

TEST(SplitUnitName, TakesAnyText) {
  const UnitName bare = split_unit_name("apache@1");
  EXPECT_EQ(bare.name, "apache@1");
  EXPECT_EQ(bare.prefix, "apache");
  EXPECT_EQ(bare.instance, "1");
  EXPECT_EQ(bare.suffix, "");

  const UnitName behind_the_dot = split_unit_name("a.b@c");
  EXPECT_FALSE(behind_the_dot.has_at);
  EXPECT_EQ(behind_the_dot.suffix, ".b@c");

  const UnitName empty = split_unit_name("");
  EXPECT_EQ(empty.full + empty.name + empty.prefix + empty.instance + empty.suffix, "");
}

TEST(HasUnitType, KnowsAllOfSystemdsTypes) {
  EXPECT_TRUE(has_unit_type("a.service"));
  EXPECT_TRUE(has_unit_type("a.target"));
  EXPECT_TRUE(has_unit_type("a.slice"));
  EXPECT_TRUE(has_unit_type("a.b.swap"));
  EXPECT_TRUE(has_unit_type(".service"));
  EXPECT_FALSE(has_unit_type("a"));
  EXPECT_FALSE(has_unit_type("service"));
  EXPECT_FALSE(has_unit_type("a."));
  EXPECT_FALSE(has_unit_type("a.conf"));
  EXPECT_FALSE(has_unit_type("a.SERVICE"));
  EXPECT_FALSE(has_unit_type(""));
}

// section 8, row 18.
TEST(ExpandSpecifiers, PutsInPartsOfTheName) {
  const UnitName name = split_unit_name("app@1.service");
  EXPECT_EQ(expand_specifiers("%n %N %p %i", name), "app@1.service app@1 app 1");
  EXPECT_EQ(expand_specifiers("app@%i.service", name), "app@1.service");
  EXPECT_EQ(expand_specifiers("%i%i-%i", name), "11-1");
  EXPECT_EQ(expand_specifiers("%i", split_unit_name("app.service")), "");
}

TEST(ExpandSpecifiers, LeavesTheRest) {
  const UnitName name = split_unit_name("x\\x2dy@1.service");
  EXPECT_EQ(expand_specifiers("%H %m 100% %", name), "%H %m 100% %");
  EXPECT_EQ(expand_specifiers("%p", name), "x\\x2dy");  // not unescaped
  EXPECT_EQ(expand_specifiers("%N", name), "x\\x2dy@1");
  EXPECT_EQ(expand_specifiers("%%i", name), "%1");  // %% is nothing special
  EXPECT_EQ(expand_specifiers("", name), "");
}

TEST(ExpandSpecifiers, ReplacesOneKindAfterTheOther) {
  EXPECT_EQ(expand_specifiers("%%n", split_unit_name("pool@i.service")), "poolool@i.service");
  EXPECT_EQ(expand_specifiers("%%i", split_unit_name("pool@n.service")), "%n");
}

}  // namespace
}  // namespace fleet
