// What fleet promises, as far as the simulation checks it. docs/reliability.md says the same to
// people.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace fleet {

enum class Promise {
  no_stop_without_order,   // nothing stops that nobody ordered to
  no_start_without_order,  // nothing starts or restarts that nobody asked to
  one_machine,         // a unit that is not global is assigned to one machine at most, and to no
                       // other while a machine that is there has it
  fenced,              // no decision of a leader that was deposed takes effect
  as_wanted,           // a decision is about what the user wants when it takes effect
  where_it_may_run,    // ... and gives the unit no machine that may not run it then
  lost_with_care,      // no machine is taken for lost by a new leader, nor among many at once
  no_needless_reload,  // systemd is not made to read its files again and again
  runs_once,           // what was given away while a machine was cut off stops there within a bound
  shows_what_was,  // the API shows the registry as it was at one revision, no older than own writes
  changes_are_made,  // what the API acknowledges has been written
  true_reasons,      // what is said about a unit without a place is so
  comes_to_rest,     // all healed, systemd is as the registry wants it within a bounded time
  rests,             // and from then on nothing moves
  time_passes,       // no endless work in one moment
  same_trace,        // the same life goes the same way again
  no_crash,
};

inline std::string_view to_string(Promise promise) {
  switch (promise) {
    case Promise::no_stop_without_order:
      return "no-stop-without-order";
    case Promise::no_start_without_order:
      return "no-start-without-order";
    case Promise::one_machine:
      return "one-machine";
    case Promise::fenced:
      return "fenced";
    case Promise::as_wanted:
      return "as-wanted";
    case Promise::where_it_may_run:
      return "where-it-may-run";
    case Promise::lost_with_care:
      return "lost-with-care";
    case Promise::no_needless_reload:
      return "no-needless-reload";
    case Promise::runs_once:
      return "runs-once";
    case Promise::shows_what_was:
      return "shows-what-was";
    case Promise::changes_are_made:
      return "changes-are-made";
    case Promise::true_reasons:
      return "true-reasons";
    case Promise::comes_to_rest:
      return "comes-to-rest";
    case Promise::rests:
      return "rests";
    case Promise::time_passes:
      return "time-passes";
    case Promise::same_trace:
      return "same-trace";
    case Promise::no_crash:
      return "no-crash";
  }
  return "?";
}

// A promise that was not kept, when, and in which way.
struct Broken {
  Promise promise{};
  Time at;
  std::string what;
};

using Blame = std::function<void(Promise promise, std::string what)>;

}  // namespace fleet
