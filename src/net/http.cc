#include "net/http.h"

#include <strings.h>

namespace fleet {

std::vector<std::string> HttpRequest::header_values(const std::string& name) const {
  std::vector<std::string> values;
  for (const HttpHeader& header : headers) {
    if (::strcasecmp(header.name.c_str(), name.c_str()) == 0) values.push_back(header.value);
  }
  return values;
}

std::optional<std::string> HttpResponse::header(const std::string& name) const {
  for (const HttpHeader& one : headers) {
    if (::strcasecmp(one.name.c_str(), name.c_str()) == 0) return one.value;
  }
  return std::nullopt;
}

}  // namespace fleet
