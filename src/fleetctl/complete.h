// What may come next on a command line: the shells' completion asks `fleetctl __complete WORD...`.
// The table of commands knows all of it, so that no shell has a list of its own. Pure.
#pragma once

#include <string>
#include <vector>

#include "fleetctl/command_line.h"

namespace fleet::ctl {

struct Candidate {
  std::string word;
  std::string description;  // one line; may be empty

  bool operator==(const Candidate&) const = default;
};

// What the word at the cursor can become.
struct Completion {
  CommandLine line;                   // the words before it: flags say which API to ask for names
  std::vector<Candidate> candidates;  // those that need no asking
  bool units = false;                 // also the names of units,
  bool machines = false;              // the IDs of machines,
  bool files = false;                 // and the files that the shell finds
  std::string before;                 // what stands in the word before a candidate: --unit=
  std::string begun;                  // what there is of the candidate
};

// `words` follow the program's name; the last one, which may be empty, is the one at the cursor.
// Nothing is a candidate after what fleetctl would not understand.
Completion complete(const std::vector<std::string>& words, const Environment& environment);

// The lines for the shell, WORD<tab>DESCRIPTION, of the candidates that go on as the word has
// begun; the last line is `:files` if files are candidates too.
std::string completion_text(const Completion& completion);

std::vector<Candidate> unit_candidates(const StatusEntity& status,
                                       const std::vector<std::string>& given);
// IDs are shortened to 8 characters unless more of it has been typed.
std::vector<Candidate> machine_candidates(const std::vector<MachineEntity>& machines,
                                          const std::string& begun);

}  // namespace fleet::ctl
