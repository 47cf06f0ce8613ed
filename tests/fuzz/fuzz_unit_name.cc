// The name of a unit, a text with specifiers in it, and a glob: the lines of the input.

#include "base/glob.h"
#include "base/limits.h"
#include "cluster/keys.h"
#include "tests/fuzz/fuzz.h"
#include "unit/unit_name.h"

using namespace fleet;

namespace {

void check_valid(const std::string& name) {
  HOLDS(!name.empty() && name.size() <= limits::kUnitNameBytes);
  HOLDS(has_unit_type(name));
  HOLDS(name.find('/') == std::string::npos);
  const Keys keys;
  HOLDS(keys.parse(keys.unit(name)) == (Key{Key::Kind::unit, "", name}));
  HOLDS(keys.parse(keys.state("m", name)) == (Key{Key::Kind::state, "m", name}));
}

void check_parts(const UnitName& parts, const std::string& name) {
  HOLDS(parts.full == name);
  HOLDS(parts.name + parts.suffix == name);
  HOLDS(parts.has_at ? parts.prefix + "@" + parts.instance == parts.name
                     : parts.prefix == parts.name && parts.instance.empty());
  HOLDS(!(parts.is_template() && parts.is_instance()));
  if (!parts.is_instance() || parts.suffix.empty()) return;
  const UnitName of_template = split_unit_name(parts.template_name());
  HOLDS(of_template.is_template() && of_template.prefix == parts.prefix);
}

std::string escaped(std::string_view text) {
  std::string glob;
  for (const char c : text) glob.append("\\").append(1, c);
  return glob;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = fuzz::text_of(data, size);
  const std::string name(fuzz::take_until(rest, '\n'));
  const std::string_view text = fuzz::take_until(rest, '\n');
  const std::string_view glob = rest;

  const UnitName parts = split_unit_name(name);
  check_parts(parts, name);
  if (const Status valid = check_unit_name(name)) {
    check_valid(name);
  } else {
    fuzz::check_error(valid);
  }

  const std::string expanded = expand_specifiers(text, parts);
  if (text.find('%') == std::string_view::npos) HOLDS(expanded == text);
  HOLDS(expanded.size() <= text.size() * (name.size() + 2) * (name.size() + 2));

  (void)glob_match(glob, name);
  HOLDS(glob_match(escaped(name), name));
  HOLDS(glob_match("*", name) == (name.find('/') == std::string::npos));
  return 0;
}
