// Errors are values. Every function that can fail returns Result<T> or Status; nothing in fleet
// throws across a function boundary.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace fleet {

enum class ErrorCode {
  invalid,      // the caller's input is wrong; repeating the call cannot help
  not_found,    // what was named does not exist
  conflict,     // the state of things forbids it
  too_large,    // a limit of base/limits.h was passed
  denied,       // not permitted, or credentials refused
  unavailable,  // the other side cannot be reached or gave no answer; the outcome may be unknown
  compacted,    // the store no longer has the revision that was asked for
  failed,       // it was tried and did not work
};

// What failed, on what, why, and what to do next, in one line that can be shown to a person.
struct Error {
  ErrorCode code = ErrorCode::failed;
  std::string message;

  bool operator==(const Error&) const = default;
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

// Shorthand for `return std::unexpected(Error{...})`.
inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
  return std::unexpected(Error{code, std::move(message)});
}

// The same error with `context` and ": " in front of its message.
inline Error with_context(Error error, const std::string& context) {
  error.message = context + ": " + error.message;
  return error;
}

}  // namespace fleet
