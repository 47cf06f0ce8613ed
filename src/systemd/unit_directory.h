// fleet's unit files, notes and links in this machine's file system. Knows nothing of D-Bus.
//
//   <units>/<name>         the unit file, 0644
//   <units>/.notes/<name>  the note: the boot's id on the first line, then the text
//   <links>/<name>         symbolic link to the unit file, in systemd's run-time search path
//
// Units and notes belong to this process's user; of the links' directory it needs to be no more
// than allowed to add names to it, and to take its own away.
//
// Every file is replaced atomically: written beside under a name that is no unit's and renamed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "systemd/unit_manager.h"

namespace fleet {

class UnitDirectory {
 public:
  // Both paths are absolute; they need not exist yet. `boot_id` tells boots apart.
  // `before_links` are the directories in which systemd looks for a unit's file before it looks
  // into `links`.
  UnitDirectory(std::string units, std::string links, std::vector<std::string> before_links,
                std::string boot_id);

  // Every unit file by name, with its note. Names that are no unit names, and what is no regular
  // file, are left out; the text of one that somebody has made unreadable is empty. Also links
  // again what has lost its link, as at a reboot (the text of one that cannot be linked is empty),
  // and clears away what a crash left half-written. Fails: unavailable (a file cannot be opened
  // just now, for want of descriptors or memory), failed, denied (the directory).
  Result<std::vector<LocalUnit>> list();

  // What the unit's file says. Fails: not_found, unavailable, failed, denied.
  Result<std::string> read(const std::string& name) const;

  // Writes the file and links it. Something other than a link in the link's place is left alone.
  // Fails: failed, denied.
  Status write(const std::string& name, const std::string& text);

  // Links again the units here that have lost their links. Fails: failed, denied; then those that
  // could be linked are.
  Status put_links_back();

  // Whether there is a file or a link of the unit.
  bool has_traces(const std::string& name) const;

  // Of a unit that has a file here: the file that systemd reads instead, empty if none. A link that
  // leads to the file here is none. `read` is the one that systemd says it has read, empty if it
  // has read none so far.
  std::string other_file(const std::string& name, const std::string& read) const;

  // Takes link, file and note away; what is not there counts as taken away, and so does a link
  // that leads elsewhere. Fails: failed, denied.
  Status remove(const std::string& name);

  // Whether systemd can notice by now what write() and remove() did: it looks a directory through
  // again when that one's time of change is another. False after two changes within one tick of the
  // kernel's clock (a few milliseconds), where the directory is not this process's own and so takes
  // no time of its choice; to be asked again after a moment.
  bool noticeable();

  // Fails: failed, denied, not_found (no such unit file).
  Status set_note(const std::string& name, const std::string& note);

  std::string unit_path(const std::string& name) const { return units_ + "/" + name; }

 private:
  std::string note_path(const std::string& name) const { return notes_ + "/" + name; }
  std::string link_path(const std::string& name) const { return links_ + "/" + name; }
  bool is_unit_file(const std::string& name) const;
  Result<std::string> note_of(const std::string& name) const;
  bool is_our_link(const std::string& name) const;
  Status put_link_back(const std::string& name);
  Status link(const std::string& name);
  Status replace_file(const std::string& directory, const std::string& path,
                      const std::string& text);
  bool mark_changed(const std::string& path);
  void links_changed(long long before);

  std::string units_;
  std::string notes_;
  std::string links_;
  std::vector<std::string> before_links_;
  std::string boot_id_;
  // The time of change that the links' directory had before a change and still has after it.
  std::optional<long long> unnoticed_since_;
  unsigned counter_ = 0;            // makes temporary names differ
  long long last_change_usec_ = 0;  // the latest time of change that was given out
};

}  // namespace fleet
