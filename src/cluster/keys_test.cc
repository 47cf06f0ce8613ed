#include "cluster/keys.h"

#include <gtest/gtest.h>

namespace fleet {
namespace {

Key key(Key::Kind kind, std::string machine, std::string name) {
  return {.kind = kind, .machine = std::move(machine), .name = std::move(name)};
}

TEST(KeysTest, PrefixHasOneSlashAtEachEnd) {
  EXPECT_EQ(Keys().prefix(), "/_coreos.com/fleet/");
  EXPECT_EQ(Keys("a").prefix(), "/a/");
  EXPECT_EQ(Keys("//a//b//").prefix(), "/a/b/");
  EXPECT_EQ(Keys("").prefix(), "/");
  EXPECT_EQ(Keys("/").prefix(), "/");
  EXPECT_EQ(Keys("a").everything(), (KeyRange{"/a/", true}));
}

TEST(KeysTest, EveryKindIsMadeAndTakenApart) {
  const Keys keys("/f");
  const std::pair<std::string, Key> cases[] = {
      {keys.unit("a.service"), key(Key::Kind::unit, "", "a.service")},
      {keys.target("a.service"), key(Key::Kind::target, "", "a.service")},
      {keys.schedule("m1", "a.service"), key(Key::Kind::schedule, "m1", "a.service")},
      {keys.machine("m1"), key(Key::Kind::machine, "m1", "")},
      {keys.metadata("m1", "disk"), key(Key::Kind::metadata, "m1", "disk")},
      {keys.state("m1", "a.service"), key(Key::Kind::state, "m1", "a.service")},
      {keys.leader(), key(Key::Kind::leader, "", "")},
      {keys.incomplete(), key(Key::Kind::incomplete, "", "")},
  };
  for (const auto& [text, taken_apart] : cases) {
    EXPECT_EQ(keys.parse(text), taken_apart) << text;
  }
  EXPECT_EQ(keys.schedule("m1", "a.service"), "/f/schedule/m1/a.service");
  EXPECT_EQ(keys.leader(), "/f/engine/leader");
}

TEST(KeysTest, RangesEndInASlashSoThatOtherMachinesAreNotInThem) {
  const Keys keys("/f");
  EXPECT_EQ(keys.schedule_of("m1"), "/f/schedule/m1/");
  EXPECT_EQ(keys.metadata_of("m1"), "/f/metadata/m1/");
}

TEST(KeysTest, ForeignKeysAreNotTakenApart) {
  const Keys keys("/f");
  for (const char* text : {"",
                           "/",
                           "/f",
                           "/f/",
                           "/g/unit/a.service",
                           "/f/unit/",
                           "/f/unit",
                           "/f/unit/a/b",
                           "/f/target/",
                           "/f/schedule/m1",
                           "/f/schedule/m1/",
                           "/f/schedule//a",
                           "/f/schedule/m/a/b",
                           "/f/machine/",
                           "/f/machine/a/b",
                           "/f/metadata/m1",
                           "/f/state/m1",
                           "/f/engine/",
                           "/f/engine/leader/",
                           "/f/engine/leaders",
                           "/f/nonsense/a",
                           "f/unit/a.service"}) {
    EXPECT_EQ(keys.parse(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace fleet
