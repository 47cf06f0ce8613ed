// fleet-sim: runs simulated lives of clusters and says which promises they break.

#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "tests/sim/life.h"
#include "tests/sim/shorten.h"

namespace fleet {
namespace {

constexpr const char* kUsage = R"(usage: fleet-sim --seed N | --seeds A-B | --plan FILE  [options]

Runs simulated lives of whole clusters. Exit status: 0 all promises kept, 1 one was broken, 2 usage.

  --seed N     the life of one seed
  --seeds A-B  the lives of all seeds from A to B
  --plan FILE  a life that was written down before, as a failure prints it
  --jobs J     so many at a time (default: 1)
  --trace      prints everything that happens
  --as-is      does not look for a shorter plan that fails in the same way
)";

// Every so many lives one is lived again, to see that it goes the same way.
constexpr std::uint64_t kRepeatEvery = 16;
constexpr int kMostShorteningRuns = 400;
constexpr std::size_t kTraceShown = 60;

struct Options {
  std::uint64_t first = 1;
  std::uint64_t last = 0;
  std::string plan_file;
  unsigned jobs = 1;
  bool trace = false;
  bool as_is = false;
};

std::optional<std::uint64_t> number(const std::string& text) {
  try {
    std::size_t used = 0;
    const std::uint64_t value = std::stoull(text, &used);
    if (used == text.size()) return value;
  } catch (const std::exception&) {
  }
  return std::nullopt;
}

std::optional<Options> parse(const std::vector<std::string>& arguments) {
  Options options;
  bool chosen = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (name == "--trace") {
      options.trace = true;
    } else if (name == "--as-is") {
      options.as_is = true;
    } else if (++i == arguments.size()) {
      return std::nullopt;
    } else if (const std::string& value = arguments[i]; name == "--plan") {
      options.plan_file = value;
      chosen = true;
    } else if (name == "--jobs" && number(value).value_or(0) > 0) {
      options.jobs = static_cast<unsigned>(*number(value));
    } else if (name == "--seed" && number(value)) {
      options.first = options.last = *number(value);
      chosen = true;
    } else if (const std::size_t dash = value.find('-');
               name == "--seeds" && dash != std::string::npos) {
      const auto first = number(value.substr(0, dash));
      const auto last = number(value.substr(dash + 1));
      if (!first || !last || *first > *last) return std::nullopt;
      options.first = *first;
      options.last = *last;
      chosen = true;
    } else {
      return std::nullopt;
    }
  }
  if (!chosen) return std::nullopt;
  return options;
}

void print_trace(const std::vector<std::string>& trace, std::size_t most) {
  const std::size_t from = trace.size() > most ? trace.size() - most : 0;
  if (from > 0) fmt::print("... {} lines before; --trace shows all\n", from);
  for (std::size_t i = from; i < trace.size(); ++i) fmt::print("{}\n", trace[i]);
}

void report(const Plan& plan, const std::string& name, const Outcome& outcome, bool as_is) {
  const Broken& first = outcome.broken.front();
  fmt::print("\nBROKEN in {}: {}\n  after {:.3f} s: {}\n", name, to_string(first.promise),
             static_cast<double>(first.at.time_since_epoch().count()) / 1e9, first.what);
  std::fflush(stdout);
  Plan shorter = plan;
  if (!as_is) shorter = shorten(plan, first.promise, kMostShorteningRuns);
  const Result<Outcome> again = live(shorter, Trace::keep);
  if (again) {
    fmt::print("The end of what happens in the plan below:\n");
    print_trace(again->trace, kTraceShown);
    for (const Broken& broken : again->broken) {
      fmt::print("--> {}: {}\n", to_string(broken.promise), broken.what);
    }
  }
  fmt::print(
      "\nThis plan of {} actions (of {}) breaks it; keep it in a file and run it with --plan:\n{}"
      "\nTo repeat the whole: fleet-sim --{} --trace\n",
      shorter.actions.size(), plan.actions.size(), to_text(shorter), name);
}

class Runs {
 public:
  explicit Runs(const Options& options) : options_(options), next_(options.first) {}

  int run() {
    const auto began = std::clock();
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < options_.jobs; ++i) threads.emplace_back([this] { work(); });
    work();
    for (std::thread& thread : threads) thread.join();
    const double cpu = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
    const double hours = std::chrono::duration<double, std::ratio<3600>>(lived_).count();
    fmt::print(
        "{} lives, {} of them twice: {:.0f} cluster-hours in {:.1f} s of CPU, {:.0f} a minute; the "
        "slowest came to rest in {:.0f} s\n",
        lives_, repeated_, hours, cpu, hours / cpu * 60,
        std::chrono::duration<double>(slowest_rest_).count());
    return failed_ ? 1 : 0;
  }

 private:
  void work() {
    while (!failed_) {
      const std::uint64_t seed = next_++;
      if (seed > options_.last) return;
      const Plan plan = make_plan(seed);
      Result<Outcome> outcome = live(plan);
      const bool again = seed % kRepeatEvery == 0;
      if (again && outcome && live(plan)->trace_hash != outcome->trace_hash) {
        outcome->broken.push_back({Promise::same_trace, {}, "it went another way this time"});
      }
      const std::lock_guard lock(mutex_);
      ++lives_;
      if (again) ++repeated_;
      lived_ += outcome->lived * (again ? 2 : 1);
      slowest_rest_ = std::max(slowest_rest_, outcome->slowest_rest);
      if (outcome->broken.empty() || failed_.exchange(true)) continue;
      report(plan, fmt::format("seed {}", seed), *outcome, options_.as_is);
    }
  }

  const Options& options_;
  std::atomic<std::uint64_t> next_;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::uint64_t lives_ = 0;
  std::uint64_t repeated_ = 0;
  Duration lived_{};
  Duration slowest_rest_{};
};

int run_one(const Plan& plan, const std::string& name, const Options& options) {
  const Result<Outcome> outcome = live(plan, options.trace ? Trace::keep : Trace::hash_only);
  if (!outcome) {
    fmt::print(stderr, "fleet-sim: {}\n", outcome.error().message);
    return 2;
  }
  for (const std::string& line : outcome->trace) fmt::print("{}\n", line);
  if (!outcome->broken.empty()) {
    report(plan, name, *outcome, options.as_is);
    return 1;
  }
  fmt::print("{}: {:.0f} s lived, all promises kept; trace hash {:016x}\n", name,
             std::chrono::duration<double>(outcome->lived).count(), outcome->trace_hash);
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  const std::optional<Options> options = parse(arguments);
  if (!options) {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  if (!options->plan_file.empty()) {
    std::ifstream in(options->plan_file);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    const Result<Plan> plan = parse_plan(text);
    if (!in || !plan) {
      fmt::print(stderr, "fleet-sim: {}: {}\n", options->plan_file,
                 plan ? "cannot be read" : plan.error().message);
      return 2;
    }
    return run_one(*plan, "plan " + options->plan_file, *options);
  }
  if (options->first == options->last) {
    return run_one(make_plan(options->first), fmt::format("seed {}", options->first), *options);
  }
  return Runs(*options).run();
}

}  // namespace
}  // namespace fleet

int main(int argc, char** argv) {
  return fleet::run({argv + 1, argv + argc});
}
