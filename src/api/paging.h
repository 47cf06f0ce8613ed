// Pages of a list (behaviour document 5.4): a token names a page by its number and by the number of
// entries a page.
#pragma once

#include <cstddef>
#include <string>

#include "api/request_target.h"
#include "base/error.h"

namespace fleet {

// Walks over a list up to the end of one page, and picks what is on it.
class Pager {
 public:
  // Reads the page that `target` asks for. Fails: invalid.
  static Result<Pager> from(const RequestTarget& target, unsigned limit);

  // Whether nothing that follows can be on the page or change next_token().
  bool is_full() const { return total_ >= page_ * limit_; }

  // To be called for every entry of the list in turn, until is_full(): whether it is on the page.
  bool takes_next() {
    const std::size_t index = total_++;
    return index >= first() && index < first() + limit_;
  }

  // Of the following page; empty if there is none. 1.0 names one more page when the last one is
  // full, which clients cope with.
  std::string next_token() const;

 private:
  Pager(std::size_t limit, std::size_t page) : limit_(limit), page_(page) {}
  std::size_t first() const { return (page_ - 1) * limit_; }

  std::size_t limit_;
  std::size_t page_;  // from 1
  std::size_t total_ = 0;
};

}  // namespace fleet
