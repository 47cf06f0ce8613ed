// A query with a page token: the first byte is the server's page size, the second the length of the
// list, the rest the query.

#include <vector>

#include "api/paging.h"
#include "tests/fuzz/fuzz.h"

using namespace fleet;

namespace {

struct Page {
  std::vector<std::size_t> indices;
  std::string next;
};

Page walk(Pager& pager, std::size_t total) {
  Page page;
  for (std::size_t i = 0; i < total; ++i) {
    if (pager.takes_next()) page.indices.push_back(i);
  }
  page.next = pager.next_token();
  return page;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const unsigned limit = data[0];
  const std::size_t entries = limit == 0 ? 100 : limit;
  const std::size_t total = data[1];
  const std::string query(fuzz::text_of(data + 2, size - 2));
  const Result<RequestTarget> target = parse_request_target("/units?" + query);
  if (!target) return 0;
  Result<Pager> pager = Pager::from(*target, limit);
  if (!pager) {
    fuzz::check_error(pager);
    return 0;
  }
  Page page = walk(*pager, total);
  HOLDS(page.indices.size() <= entries);
  for (std::size_t i = 1; i < page.indices.size(); ++i) {
    HOLDS(page.indices[i] == page.indices[i - 1] + 1);
  }
  // Whatever page it was, following the tokens goes through the rest of the list and ends.
  std::size_t pages = 0;
  while (!page.next.empty()) {
    HOLDS(++pages <= total / entries + 1);
    const Result<RequestTarget> next = parse_request_target("/units?nextPageToken=" + page.next);
    HOLDS(next.has_value());
    Result<Pager> following = Pager::from(*next, limit);
    HOLDS(following.has_value());
    const std::size_t after = page.indices.empty() ? 0 : page.indices.back() + 1;
    page = walk(*following, total);
    if (!page.indices.empty() && after != 0) HOLDS(page.indices.front() == after);
  }
  return 0;
}
