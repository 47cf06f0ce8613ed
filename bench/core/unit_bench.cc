// What it costs to take in a unit file.
#include <string>

#include <benchmark/benchmark.h>

#include "cluster/values.h"
#include "unit/requirements.h"

namespace fleet {
namespace {

std::string forty_lines() {
  std::string text =
      "# what a web server needs\n[Unit]\nDescription=a web server\n"
      "After=network-online.target\nRequires=network-online.target\n\n[Service]\n"
      "Type=notify\n";
  for (int i = 0; i < 22; ++i) {
    text += "Environment=\"VARIABLE_" + std::to_string(i) + "=a value of usual length\"\n";
  }
  text +=
      "ExecStartPre=-/usr/bin/podman rm -f web-%i\n"
      "ExecStart=/usr/bin/podman run --rm --name web-%i -p 80:80 web \\\n  --listen 80\n"
      "ExecStop=/usr/bin/podman stop web-%i\nRestart=always\nRestartSec=5\n\n[X-Fleet]\n"
      "Conflicts=web@*.service\nMachineMetadata=\"disk=ssd\" \"region=east\"\n";
  return text;
}

// Parsed, checked, and made into the record that the registry keeps, with its hash.
void ParseCheckHash(benchmark::State& state) {
  const std::string text = forty_lines();
  for (auto _ : state) {
    const auto file = parse_unit_file(text);
    const Status checked = check_unit_file(*file);
    UnitRecord record = make_unit_record("web@1.service", *file);
    benchmark::DoNotOptimize(checked);
    benchmark::DoNotOptimize(record);
  }
}
BENCHMARK(ParseCheckHash)->Iterations(1'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace fleet
