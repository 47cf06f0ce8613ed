#include "unit/printable.h"

#include <string>

#include <gtest/gtest.h>

namespace fleet {
namespace {

TEST(Printable, LeavesPrintableTextAlone) {
  EXPECT_EQ(printable("web@1.service"), "\"web@1.service\"");
}

TEST(Printable, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(printable("\x1b[2J\n\xc3\xa9"), R"("\x1b[2J\x0a\xc3\xa9")");
  EXPECT_EQ(printable(std::string("\0", 1)), R"("\x00")");
}

TEST(Printable, CutsLongText) {
  EXPECT_EQ(printable(std::string(100, 'x')), "\"" + std::string(100, 'x') + "\"");
  EXPECT_EQ(printable(std::string(101, 'x')), "\"" + std::string(100, 'x') + "...\"");
}

}  // namespace
}  // namespace fleet
