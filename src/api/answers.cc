#include "api/answers.h"

#include <fmt/format.h>

#include "api/json/entities.h"

namespace fleet {
namespace {

constexpr std::string_view kJson = "application/json";
// 1.0's words, which people search for.
constexpr std::string_view kUnavailable = "fleet server unable to communicate with etcd";

// The reason, after 1.0's words unless it begins with them itself.
std::string without_store(const std::string& reason) {
  return reason.starts_with(kUnavailable) ? reason : fmt::format("{}: {}", kUnavailable, reason);
}

}  // namespace

ApiResponse json_answer(std::string body) {
  ApiResponse answer;
  answer.content_type = kJson;
  answer.body = std::move(body);
  return answer;
}

ApiResponse error_answer(int status, std::string_view message) {
  ApiResponse answer = json_answer(to_json(ErrorEntity{status, std::string(message)}));
  answer.status = status;
  return answer;
}

ApiResponse text_answer(int status, std::string body) {
  ApiResponse answer;
  answer.status = status;
  answer.content_type = "text/plain; charset=utf-8";
  answer.body = std::move(body);
  return answer;
}

ApiResponse empty_answer(int status) {
  ApiResponse answer;
  answer.status = status;
  return answer;
}

ApiResponse unavailable_answer(const Error& error) {
  return error_answer(503, without_store(error.message));
}

ApiResponse write_error_answer(const Error& error) {
  switch (error.code) {
    case ErrorCode::unavailable:
      return error_answer(503, fmt::format("{}; the change may or may not have been made, so look "
                                           "before you repeat it",
                                           without_store(error.message)));
    case ErrorCode::denied:
      return error_answer(
          503, fmt::format("the registry refused the change: {}; nothing changed", error.message));
    case ErrorCode::too_large:
      return error_answer(400, fmt::format("{}; nothing changed", error.message));
    default:
      return error_answer(500, fmt::format("the change failed: {}", error.message));
  }
}

}  // namespace fleet
