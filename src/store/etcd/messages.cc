#include "store/etcd/messages.h"

#include <string_view>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "store/range.h"

namespace fleet::etcd {
namespace {

namespace pb = etcdserverpb;

bool mentions(const grpc::Status& status, std::string_view text) {
  return status.error_message().find(text) != std::string::npos;
}

// etcd's own errors begin so; the others are gRPC's.
bool is_from_etcd(const grpc::Status& status) {
  return mentions(status, "etcdserver: ");
}

bool is_database_full(const grpc::Status& status) {
  return mentions(status, "database space exceeded");
}

ErrorCode code_of(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::NOT_FOUND:
      return ErrorCode::not_found;
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED:
      return ErrorCode::denied;
    case grpc::StatusCode::OUT_OF_RANGE:
      return mentions(status, "compacted") ? ErrorCode::compacted : ErrorCode::invalid;
    case grpc::StatusCode::INVALID_ARGUMENT:
      if (mentions(status, "too large")) return ErrorCode::too_large;
      if (mentions(status, "authentication") || mentions(status, "user name")) {
        return ErrorCode::denied;
      }
      return ErrorCode::invalid;
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::DATA_LOSS:
    case grpc::StatusCode::UNIMPLEMENTED:
      return ErrorCode::failed;
    default:
      return ErrorCode::unavailable;
  }
}

std::string advice(const grpc::Status& status) {
  if (is_database_full(status)) {
    return "; compact and defragment etcd's database, then disarm its alarm (etcdctl alarm disarm)";
  }
  if (mentions(status, "too many operations")) {
    return "; etcd's --max-txn-ops must be at least 128";
  }
  if (mentions(status, "andshake") || mentions(status, "Peer name")) {
    return "; check that the authority's file is the right one for etcd's certificate, and that "
           "the certificate names this host";
  }
  switch (code_of(status)) {
    case ErrorCode::unavailable:
      if (is_from_etcd(status)) return "; see whether etcd has a leader (etcdctl endpoint status)";
      // That is how a server that speaks TLS ends a plain connection, or one without a certificate.
      if (mentions(status, "Socket closed") || mentions(status, "read failed") ||
          mentions(status, "reset by peer")) {
        return "; the connection was closed: see whether etcd is up, and whether it wants https or "
               "a client's certificate";
      }
      return "; see whether etcd runs there and can be reached";
    case ErrorCode::denied:
      return "; check the user, password and role that fleet is given at etcd";
    case ErrorCode::failed:
      return "; fleet needs the v3 API of etcd 3.4 or later";
    default:
      return "";
  }
}

}  // namespace

RangeBounds bounds_of(const KeyRange& range) {
  if (!range.prefix) return {.key = range.key, .end = {}};
  // etcd has "\0" for "from the first key" and "to the last key".
  const std::string zero(1, '\0');
  RangeBounds bounds{.key = range.key, .end = end_of_prefix(range.key)};
  if (bounds.key.empty()) bounds.key = zero;
  if (bounds.end.empty()) bounds.end = zero;
  return bounds;
}

pb::TxnRequest to_message(const Transaction& transaction) {
  pb::TxnRequest request;
  for (const Compare& compare : transaction.compares) {
    pb::Compare& message = *request.add_compare();
    RangeBounds bounds = bounds_of(compare.range);
    message.set_key(std::move(bounds.key));
    message.set_range_end(std::move(bounds.end));
    switch (compare.relation) {
      case Compare::Relation::equal:
        message.set_result(pb::Compare::EQUAL);
        break;
      case Compare::Relation::less:
        message.set_result(pb::Compare::LESS);
        break;
      case Compare::Relation::greater:
        message.set_result(pb::Compare::GREATER);
        break;
    }
    if (compare.field == Compare::Field::create_revision) {
      message.set_target(pb::Compare::CREATE);
      message.set_create_revision(compare.operand);
    } else {
      message.set_target(pb::Compare::MOD);
      message.set_mod_revision(compare.operand);
    }
  }
  for (const Operation& operation : transaction.operations) {
    pb::RequestOp& message = *request.add_success();
    if (const auto* put = std::get_if<Put>(&operation)) {
      pb::PutRequest& wanted = *message.mutable_request_put();
      wanted.set_key(put->key);
      wanted.set_value(put->value);
      wanted.set_lease(put->lease);
    } else {
      RangeBounds bounds = bounds_of(std::get<Delete>(operation).range);
      pb::DeleteRangeRequest& wanted = *message.mutable_request_delete_range();
      wanted.set_key(std::move(bounds.key));
      wanted.set_range_end(std::move(bounds.end));
    }
  }
  return request;
}

pb::WatchRequest watch_request(const KeyRange& range, Revision from) {
  RangeBounds bounds = bounds_of(range);
  pb::WatchRequest request;
  pb::WatchCreateRequest& create = *request.mutable_create_request();
  create.set_key(std::move(bounds.key));
  create.set_range_end(std::move(bounds.end));
  create.set_start_revision(from);
  create.set_progress_notify(true);
  create.set_fragment(true);
  return request;
}

KeyValue take(pb::KeyValue& message) {
  return {.key = std::move(*message.mutable_key()),
          .value = std::move(*message.mutable_value()),
          .create_revision = message.create_revision(),
          .mod_revision = message.mod_revision(),
          .lease = message.lease()};
}

WatchEvent take(pb::Event& message) {
  if (message.type() == pb::Event::PUT) {
    return {.kind = WatchEvent::Kind::put, .value = take(*message.mutable_kv())};
  }
  WatchEvent event{.kind = WatchEvent::Kind::removed, .value = {}};
  event.value.key = std::move(*message.mutable_kv()->mutable_key());
  event.value.mod_revision = message.kv().mod_revision();
  return event;
}

Verdict verdict(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::UNAUTHENTICATED:
      return Verdict::sign_in_again;
    case grpc::StatusCode::INVALID_ARGUMENT:
      // The rights changed since the token was given, or users were switched on.
      if (mentions(status, "revision in header is old") || mentions(status, "user name is empty")) {
        return Verdict::sign_in_again;
      }
      return Verdict::refuse;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      if (is_database_full(status)) return Verdict::refuse;
      return is_from_etcd(status) ? Verdict::try_elsewhere : Verdict::page_too_large;
    default:
      return code_of(status) == ErrorCode::unavailable ? Verdict::try_elsewhere : Verdict::refuse;
  }
}

Error to_error(const grpc::Status& status, const std::string& what, const std::string& url) {
  const std::string why =
      status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED && !is_from_etcd(status)
          ? "no answer in time"
          : status.error_message();
  return {code_of(status),
          fmt::format("cannot {} at etcd {}: {}{}", what, url, why, advice(status))};
}

bool is_auth_off(const grpc::Status& status) {
  return mentions(status, "authentication is not enabled");
}

Verdict watch_verdict(const std::string& reason) {
  const auto mentions = [&](std::string_view text) {
    return reason.find(text) != std::string::npos;
  };
  // "permission denied" is also what etcd says when it no longer takes the token.
  if (mentions("permission denied") || mentions("auth") || mentions("user name is empty")) {
    return Verdict::sign_in_again;
  }
  return mentions("leader") ? Verdict::try_elsewhere : Verdict::refuse;
}

}  // namespace fleet::etcd
