// How fleetctl shows things (behaviour document 6.5). Pure functions.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/json/entities.h"
#include "api/json/status.h"

namespace fleet::ctl {

enum class Colour { none, green, yellow, red };

// Of a unit that systemd calls active, failed, or in between; of others none.
Colour colour_of(std::string_view active_state);

// `text` for a terminal, or, if `coloured` is not set, as it is.
std::string painted(std::string text, Colour colour, bool coloured);

struct Cell {
  std::string text;
  Colour colour = Colour::none;

  // Most cells are mere text.
  Cell(const char* text_in) : text(text_in) {}             // NOLINT
  Cell(std::string text_in) : text(std::move(text_in)) {}  // NOLINT
  Cell(std::string text_in, Colour colour_in) : text(std::move(text_in)), colour(colour_in) {}
};
using Row = std::vector<Cell>;

// Lays `rows` out in columns as 1.0 does: each cell but a row's last is padded with tabs to a width
// that is a multiple of 8 and leaves room for at least one blank. Control characters in cells
// become blanks: a description must not garble a terminal or look like another column.
std::string table(const std::vector<Row>& rows, bool coloured = false);

// `text` with blanks for its control characters.
std::string on_one_line(std::string text);

// A missing value is shown as "-".
std::string or_dash(std::string_view text);

// 40 digits, or the first 7 of them.
std::string hash_text(const std::string& hash, bool full);

// The whole ID, or its first 8 characters and "...". Empty stays empty.
std::string machine_id_text(const std::string& id, bool full);

// k=v,k2=v2, sorted by key.
std::string metadata_text(const std::map<std::string, std::string>& metadata);

// What the machines of a cluster are called in output: ID/IP.
class MachineNames {
 public:
  MachineNames() = default;
  explicit MachineNames(const std::vector<MachineEntity>& machines);

  bool knows(const std::string& id) const { return addresses_.contains(id); }
  // 148a18ff.../10.10.1.1, without the address if it is not known; empty for an empty ID.
  std::string text(const std::string& id, bool full) const;
  // Empty if it is not known.
  std::string address(const std::string& id) const;

 private:
  std::map<std::string, std::string> addresses_;
};

// On how many machines a global unit runs, of those that are to have it: 3 of 3.
std::string global_spread(const UnitStatusEntity& unit);

// "active (running)"; empty if systemd has said nothing.
std::string systemd_text(const UnitOnMachineEntity& machine);

// All that the cluster knows about a unit, for `fleetctl status`.
std::string status_text(const UnitStatusEntity& unit, const std::string& description,
                        const MachineNames& machines, bool coloured);

}  // namespace fleet::ctl
