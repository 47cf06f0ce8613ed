// Between the port's values and etcd's messages.
#pragma once

#include <string>

#include <grpcpp/support/status.h>

#include "base/error.h"
#include "store/etcd/etcd.pb.h"
#include "store/store.h"

namespace fleet::etcd {

// How a range is written in etcd: its first key, and the first one after it ("" for a single key).
struct RangeBounds {
  std::string key;
  std::string end;
};
RangeBounds bounds_of(const KeyRange& range);

etcdserverpb::TxnRequest to_message(const Transaction& transaction);
etcdserverpb::WatchRequest watch_request(const KeyRange& range, Revision from);

// These take the strings out of the message.
KeyValue take(etcdserverpb::KeyValue& message);
WatchEvent take(etcdserverpb::Event& message);

// What to do about a call that failed.
enum class Verdict {
  try_elsewhere,   // this member or the way to it is at fault
  sign_in_again,   // the token is no longer taken
  page_too_large,  // fewer keys would pass
  refuse,          // the answer is no
};
Verdict verdict(const grpc::Status& status);

// `what` is what was tried ("read unit/"), `url` with whom.
Error to_error(const grpc::Status& status, const std::string& what, const std::string& url);

// Whether etcd refused to sign a user in because it has no users.
bool is_auth_off(const grpc::Status& status);

// Why etcd ended a watch; `reason` is its own word.
Verdict watch_verdict(const std::string& reason);

}  // namespace fleet::etcd
