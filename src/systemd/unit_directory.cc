#include "systemd/unit_directory.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "unit/unit_name.h"

namespace fleet {
namespace {

// No unit's name: what follows its last dot is no unit type.
constexpr std::string_view kTemporaryPrefix = ".fleet-new-";

struct DirCloser {
  void operator()(DIR* dir) const { closedir(dir); }
};
using Dir = std::unique_ptr<DIR, DirCloser>;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Error errno_error(const std::string& what, int error) {
  ErrorCode code = ErrorCode::failed;
  if (error == EACCES || error == EPERM || error == EROFS) code = ErrorCode::denied;
  if (error == ENOENT) code = ErrorCode::not_found;
  return {code, what + ": " + std::strerror(error)};
}

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// mkdir -p, every made directory 0755 whatever the umask.
Status make_directory(const std::string& path) {
  std::size_t end = 0;
  while (end != std::string::npos) {
    end = path.find('/', end + 1);
    const std::string part = path.substr(0, end);
    if (mkdir(part.c_str(), 0755) == 0) {
      (void)chmod(part.c_str(), 0755);
    } else if (errno != EEXIST && (end == std::string::npos || errno != EROFS)) {
      Error error = errno_error("cannot make the directory " + part, errno);
      if (error.code == ErrorCode::not_found) error.code = ErrorCode::failed;
      return std::unexpected(error);
    }
  }
  return {};
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (fd.get() < 0) {
    Error error = errno_error("cannot read " + path, errno);
    // Nothing is wrong with the file then.
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) error.code = ErrorCode::unavailable;
    return std::unexpected(error);
  }
  std::string text;
  char buffer[16 * 1024];
  while (text.size() < limit) {
    const ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(errno_error("cannot read " + path, errno));
    if (count == 0) break;
    text.append(buffer, static_cast<std::size_t>(count));
  }
  return text;
}

// One byte more than any unit file may have, so that a larger one differs from every other.
Result<std::string> read_unit_file(const std::string& path) {
  return read_file(path, limits::kUnitFileBytes + 1);
}

Status write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(errno_error("cannot write " + path, errno));
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Status unlink_if_there(const std::string& path) {
  const bool gone = unlink(path.c_str()) == 0;
  if (gone || errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG) return {};
  return std::unexpected(errno_error("cannot remove " + path, errno));
}

// In microseconds, as systemd compares it.
long long time_of_change(const std::string& path) {
  struct stat info {};
  (void)stat(path.c_str(), &info);
  return info.st_mtim.tv_sec * 1'000'000LL + info.st_mtim.tv_nsec / 1'000;
}

}  // namespace

UnitDirectory::UnitDirectory(std::string units, std::string links,
                             std::vector<std::string> before_links, std::string boot_id)
    : units_(without_trailing_slashes(std::move(units))),
      notes_(units_ + "/.notes"),
      links_(without_trailing_slashes(std::move(links))),
      before_links_(std::move(before_links)),
      boot_id_(std::move(boot_id)) {}

bool UnitDirectory::is_unit_file(const std::string& name) const {
  struct stat info {};
  return check_unit_name(name) && stat(unit_path(name).c_str(), &info) == 0 &&
         S_ISREG(info.st_mode);
}

Result<std::vector<LocalUnit>> UnitDirectory::list() {
  if (Status made = make_directory(units_); !made) return std::unexpected(made.error());
  const Dir dir(opendir(units_.c_str()));
  if (dir == nullptr) {
    return std::unexpected(errno_error("cannot read the directory " + units_, errno));
  }
  std::vector<LocalUnit> units;
  errno = 0;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name.starts_with(kTemporaryPrefix)) (void)unlink(unit_path(name).c_str());
    if (!is_unit_file(name)) {
      errno = 0;
      continue;
    }
    Result<std::string> text = read(name);
    if (!text && text.error().code == ErrorCode::not_found) continue;  // gone since readdir
    // One that somebody has made unreadable, or too large, is none that was put there. What fails
    // for a moment, as for want of descriptors, says nothing about the unit.
    if (!text && text.error().code == ErrorCode::unavailable) return std::unexpected(text.error());
    // Without its link systemd does not find it. Writing it anew says why it cannot have one.
    if (text && !put_link_back(name)) text->clear();
    Result<std::string> note = note_of(name);
    if (!note) return std::unexpected(note.error());
    units.push_back({name, std::move(text).value_or(""), std::move(*note)});
    errno = 0;
  }
  if (errno != 0) return std::unexpected(errno_error("cannot read the directory " + units_, errno));
  std::ranges::sort(units, {}, &LocalUnit::name);
  return units;
}

Result<std::string> UnitDirectory::read(const std::string& name) const {
  return read_unit_file(unit_path(name));
}

Result<std::string> UnitDirectory::note_of(const std::string& name) const {
  const Result<std::string> text = read_unit_file(note_path(name));
  if (!text && text.error().code == ErrorCode::unavailable) return std::unexpected(text.error());
  // A note of an earlier boot, where the directory outlives one, speaks of what no longer runs.
  if (!text || !text->starts_with(boot_id_ + "\n")) return "";
  return text->substr(boot_id_.size() + 1);
}

Status UnitDirectory::write(const std::string& name, const std::string& text) {
  Status written = make_directory(units_);
  // A rewritten file is a changed one to systemd, whatever it says: adopting a unit that is there
  // already must not cost a reload.
  const Result<std::string> old_text = read(name);
  if (written && (!old_text || *old_text != text)) {
    written = replace_file(units_, unit_path(name), text);
  }
  if (written) written = link(name);
  return written;
}

bool UnitDirectory::has_traces(const std::string& name) const {
  struct stat info {};
  return lstat(unit_path(name).c_str(), &info) == 0 || is_our_link(name);
}

std::string UnitDirectory::other_file(const std::string& name, const std::string& read) const {
  struct stat ours {};
  if (!check_unit_name(name) || stat(unit_path(name).c_str(), &ours) != 0) return "";
  const auto is_ours = [&](const std::string& path) {
    struct stat info {};
    return path == unit_path(name) || path == link_path(name) ||
           (stat(path.c_str(), &info) == 0 && info.st_dev == ours.st_dev &&
            info.st_ino == ours.st_ino);
  };
  if (!read.empty()) return is_ours(read) ? "" : read;
  for (const std::string& directory : before_links_) {
    struct stat info {};
    const std::string path = directory + "/" + name;
    if (lstat(path.c_str(), &info) == 0) return is_ours(path) ? "" : path;
  }
  return "";
}

Status UnitDirectory::remove(const std::string& name) {
  Status removed;
  // The link first: a file without a link can be found and removed again, a dangling link cannot.
  if (is_our_link(name)) {
    const long long before = time_of_change(links_);
    removed = unlink_if_there(link_path(name));
    links_changed(before);
  }
  if (removed) removed = unlink_if_there(note_path(name));
  if (removed) removed = unlink_if_there(unit_path(name));
  return removed;
}

Status UnitDirectory::set_note(const std::string& name, const std::string& note) {
  struct stat info {};
  if (stat(unit_path(name).c_str(), &info) != 0) {
    return fail(ErrorCode::not_found, "there is no unit file " + name + " to keep a note with");
  }
  Status made = make_directory(notes_);
  if (made) made = replace_file(notes_, note_path(name), boot_id_ + "\n" + note);
  return made;
}

bool UnitDirectory::is_our_link(const std::string& name) const {
  const std::string target = unit_path(name);
  std::string found(target.size() + 1, '\0');  // longer than the target: cut off means different
  const ssize_t size = readlink(link_path(name).c_str(), found.data(), found.size());
  return size >= 0 && std::string_view(found.data(), static_cast<std::size_t>(size)) == target;
}

Status UnitDirectory::put_link_back(const std::string& name) {
  struct stat info {};
  if (lstat(link_path(name).c_str(), &info) == 0) return {};
  return link(name);
}

Status UnitDirectory::put_links_back() {
  const Dir dir(opendir(units_.c_str()));
  if (dir == nullptr && errno == ENOENT) return {};
  if (dir == nullptr) {
    return std::unexpected(errno_error("cannot read the directory " + units_, errno));
  }
  Status all;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (!is_unit_file(name)) continue;
    if (Status back = put_link_back(name); !back) all = back;
  }
  return all;
}

Status UnitDirectory::link(const std::string& name) {
  if (is_our_link(name)) return {};
  if (Status made = make_directory(links_); !made) return made;
  const std::string path = link_path(name);
  struct stat info {};
  if (lstat(path.c_str(), &info) == 0 && !S_ISLNK(info.st_mode)) {
    return fail(ErrorCode::failed, "cannot link " + name + ": " + path +
                                       " is there already and is no link; move it away");
  }
  const std::string temporary = links_ + "/" + std::string(kTemporaryPrefix) +
                                std::to_string(getpid()) + "-" + std::to_string(counter_++);
  (void)unlink(temporary.c_str());
  const bool made = symlink(unit_path(name).c_str(), temporary.c_str()) == 0;
  const long long before = time_of_change(links_);
  if (!made || rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    (void)unlink(temporary.c_str());
    return std::unexpected(errno_error("cannot link " + path, error));
  }
  links_changed(before);
  return {};
}

Status UnitDirectory::replace_file(const std::string& directory, const std::string& path,
                                   const std::string& text) {
  const std::string temporary = directory + "/" + std::string(kTemporaryPrefix) +
                                std::to_string(getpid()) + "-" + std::to_string(counter_++);
  (void)unlink(temporary.c_str());
  Status written;
  {
    const Fd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (fd.get() < 0) return std::unexpected(errno_error("cannot write " + path, errno));
    written = write_all(fd.get(), text, path);
    (void)fchmod(fd.get(), 0644);  // whatever the umask
  }
  if (written) {
    // A file with an earlier time than that of the one before it is no change to systemd; the clock
    // may have been set back since then.
    last_change_usec_ = std::max(last_change_usec_, time_of_change(path));
    mark_changed(temporary);
    if (rename(temporary.c_str(), path.c_str()) == 0) return {};
    written = std::unexpected(errno_error("cannot write " + path, errno));
  }
  (void)unlink(temporary.c_str());
  return written;
}

// systemd notices a changed file, and a new name in a directory, by their time of change in
// microseconds. The kernel's own stamps advance only every few milliseconds, so two changes in
// quick succession can carry the same one, and systemd would go on with the first. These never
// repeat. Answers whether the path took it: only its owner's word counts.
bool UnitDirectory::mark_changed(const std::string& path) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const long long usec = now.tv_sec * 1'000'000LL + now.tv_nsec / 1'000;
  last_change_usec_ = std::max(usec, last_change_usec_ + 1);
  timespec times[2];
  times[0] = {.tv_sec = 0, .tv_nsec = UTIME_OMIT};
  times[1] = {.tv_sec = last_change_usec_ / 1'000'000,
              .tv_nsec = (last_change_usec_ % 1'000'000) * 1'000};
  return utimensat(AT_FDCWD, path.c_str(), times, 0) == 0;
}

void UnitDirectory::links_changed(long long before) {
  unnoticed_since_.reset();
  if (!mark_changed(links_) && time_of_change(links_) == before) unnoticed_since_ = before;
}

bool UnitDirectory::noticeable() {
  if (!unnoticed_since_) return true;
  (void)utimensat(AT_FDCWD, links_.c_str(), nullptr, 0);  // now, as any writer of it may say
  if (time_of_change(links_) == *unnoticed_since_) return false;
  unnoticed_since_.reset();
  return true;
}

}  // namespace fleet
