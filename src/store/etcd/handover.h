// gRPC orders the start of an operation before its completion, but the library is not built for
// ThreadSanitizer, which therefore cannot know. These say so; elsewhere they are nothing.
#pragma once

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FLEET_THREAD_SANITIZER 1
#endif
#endif

#ifdef FLEET_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

namespace fleet::etcd {

#ifdef FLEET_THREAD_SANITIZER
inline char handover = 0;
#endif

// Call before an operation is started: what was done so far is done before its completion.
inline void hand_to_grpc() {
#ifdef FLEET_THREAD_SANITIZER
  __tsan_release(&handover);
#endif
}

// Call first in a completion.
inline void take_from_grpc() {
#ifdef FLEET_THREAD_SANITIZER
  __tsan_acquire(&handover);
#endif
}

}  // namespace fleet::etcd
