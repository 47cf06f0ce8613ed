// What EtcdStore has beyond the port: several members, users, TLS, pages, and its messages.
#include "store/etcd/etcd_store.h"

#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/contract/etcd_process.h"
#include "tests/contract/slow_proxy.h"
#include "tests/contract/store_contract.h"
#include "tests/contract/test_loop.h"

namespace fleet {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

Put put_of(std::string key, std::string value = "") {
  return {.key = std::move(key), .value = std::move(value), .lease = 0};
}

class EtcdStoreTest : public ::testing::Test {
 protected:
  void connect(const EtcdOptions& options) {
    auto made = EtcdStore::make(loop_, options);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    store_ = std::move(*made);
  }

  template <class T>
  Result<T> wait(const std::function<void(std::function<void(Result<T>)>)>& start) {
    auto result = std::make_shared<std::optional<Result<T>>>();
    start([result](Result<T> outcome) { *result = std::move(outcome); });
    if (!loop_.run_until([&] { return result->has_value(); })) {
      return fail(ErrorCode::failed, "the call did not end");
    }
    return std::move(**result);
  }
  Result<ReadResult> read(KeyRange range) {
    return wait<ReadResult>([&](auto done) { store_->read(range, 0, std::move(done)); });
  }
  Result<TransactionResult> commit(std::vector<Operation> operations) {
    return wait<TransactionResult>([&](auto done) {
      store_->commit({.compares = {}, .operations = std::move(operations)}, std::move(done));
    });
  }
  Result<LeaseId> grant(seconds ttl) {
    return wait<LeaseId>([&](auto done) { store_->grant_lease(ttl, std::move(done)); });
  }
  // Tries until `attempt` works.
  void wait_until(const std::function<bool()>& attempt) {
    const Time deadline = loop_.now() + seconds(30);
    while (!attempt()) {
      ASSERT_LT(loop_.now(), deadline) << "it does not work";
      loop_.run_for(milliseconds(20));
    }
  }
  // etcd needs a moment to start or to elect.
  void wait_until_ready() {
    wait_until([&] { return read(one("ready?")).has_value(); });
  }
  // Writes numbers under "n/" until one is acknowledged, and returns it.
  int write_one() {
    wait_until([&] { return commit({put_of("n/" + std::to_string(++written_))}).has_value(); });
    return written_;
  }

  TestLoop loop_;
  int written_ = 0;
  std::unique_ptr<EtcdStore> store_;
};

EtcdOptions options_for(std::vector<std::string> endpoints) {
  EtcdOptions options;
  options.endpoints = std::move(endpoints);
  options.request_timeout = seconds(3);
  return options;
}

TEST_F(EtcdStoreTest, RefusesOptionsThatCannotWork) {
  const auto refusal = [&](const EtcdOptions& options) {
    auto made = EtcdStore::make(loop_, options);
    EXPECT_FALSE(made.has_value());
    if (made) return std::string();
    EXPECT_EQ(made.error().code, ErrorCode::invalid);
    return made.error().message;
  };
  EXPECT_THAT(refusal(options_for({})), HasSubstr("no etcd endpoint"));
  EXPECT_THAT(refusal(options_for({"ftp://a:1"})), HasSubstr("ftp://a:1"));
  for (const char* bad : {"", "http://", "host", "http://host:", "http://:2379", "http://host:port",
                          "http://host:1/path"}) {
    EXPECT_THAT(refusal(options_for({bad})), HasSubstr("http://host:port")) << bad;
  }
  EtcdOptions options = options_for({"https://127.0.0.1:1"});
  options.ca_file = "/does/not/exist";
  EXPECT_THAT(refusal(options), HasSubstr("/does/not/exist"));
  options.ca_file.clear();
  options.cert_file = "/does/not/exist";
  EXPECT_THAT(refusal(options), HasSubstr("key"));
}

TEST_F(EtcdStoreTest, SaysWhichEndpointCannotBeReached) {
  const std::string nowhere = free_url("http");
  connect(options_for({nowhere}));
  const auto result = read(under("unit/"));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::unavailable);
  EXPECT_THAT(result.error().message, HasSubstr("cannot read unit/*"));
  EXPECT_THAT(result.error().message, HasSubstr(nowhere));
  EXPECT_THAT(result.error().message, HasSubstr("see whether etcd runs there"));
}

TEST_F(EtcdStoreTest, ADeadEndpointPutsNoWriteInDoubt) {
  EtcdProcess etcd({});
  etcd.start();
  connect(options_for({etcd.url()}));
  wait_until_ready();
  // The first call of a session is a write, and the first two endpoints are dead.
  connect(options_for({free_url("http"), free_url("http"), etcd.url()}));
  const auto result = commit({put_of("a")});
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_TRUE(result->committed);
}

TEST_F(EtcdStoreTest, ReadsPagesAtOneRevision) {
  EtcdProcess etcd({});
  etcd.start();
  EtcdOptions options = options_for({etcd.url()});
  options.page_keys = 7;
  connect(options);
  wait_until_ready();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(commit({put_of("p/" + std::to_string(100 + i), "old")}).has_value());
  }
  // Changes that are made while the pages are read do not show in some of them.
  for (int round = 0; round < 5; ++round) {
    std::optional<Result<ReadResult>> result;
    store_->read(under("p/"), 0, [&](auto outcome) { result = std::move(outcome); });
    const std::string value = "round " + std::to_string(round);
    while (!result)
      ASSERT_TRUE(commit({put_of("p/100", value), put_of("p/199", value)}).has_value());
    ASSERT_TRUE(result->has_value()) << result->error().message;
    const std::vector<KeyValue>& values = (*result)->values;
    ASSERT_EQ(values.size(), 100U);
    EXPECT_EQ(values.front().mod_revision <= (*result)->revision, true);
    EXPECT_EQ(values.front().value, values.back().value);
    for (const KeyValue& value_read : values) {
      EXPECT_LE(value_read.mod_revision, (*result)->revision);
    }
  }
}

TEST_F(EtcdStoreTest, AReadOutlivesCompactionBetweenItsPages) {
  EtcdProcess etcd({});
  etcd.start();
  EtcdOptions options = options_for({etcd.url()});
  connect(options);
  wait_until_ready();
  Revision last = 0;
  for (int i = 0; i < 300; ++i) {
    const auto written = commit({put_of("p/" + std::to_string(1000 + i))});
    ASSERT_TRUE(written.has_value());
    last = written->revision;
  }
  options.page_keys = 1;
  connect(options);
  std::optional<Result<ReadResult>> result;
  store_->read(under("p/"), 0, [&](auto outcome) { result = std::move(outcome); });
  loop_.run_for(milliseconds(10));
  EXPECT_FALSE(result.has_value()) << "the read was too quick to be disturbed";
  run_program({"etcdctl", "--endpoints=" + etcd.url(), "put", "p/new", ""});
  run_program({"etcdctl", "--endpoints=" + etcd.url(), "compact", std::to_string(last + 1)});
  ASSERT_TRUE(loop_.run_until([&] { return result.has_value(); }));
  ASSERT_TRUE(result->has_value()) << result->error().message;
  EXPECT_EQ((*result)->values.size(), 301U);
  EXPECT_EQ((*result)->revision, last + 1);
}

// Whoever reads in vain reads again, and at last the way carries the pages in time.
TEST_F(EtcdStoreTest, ARegistryIsReadAlsoOverASlowWay) {
  EtcdProcess etcd({});
  etcd.start();
  connect(options_for({etcd.url()}));
  wait_until_ready();
  constexpr int kKeys = 500;
  for (int i = 0; i < kKeys; i += 100) {
    std::vector<Operation> puts;
    for (int k = i; k < i + 100; ++k) {
      puts.emplace_back(put_of("p/" + std::to_string(10000 + k), std::string(2000, 'x')));
    }
    ASSERT_TRUE(commit(std::move(puts)).has_value());
  }
  const std::string url = etcd.url();
  const SlowProxy proxy(std::stoi(url.substr(url.rfind(':') + 1)), 400'000);
  EtcdOptions options = options_for({"http://127.0.0.1:" + std::to_string(proxy.port())});
  options.request_timeout = seconds(1);
  connect(options);
  EXPECT_FALSE(read(under("p/")).has_value()) << "the way is not slow";
  wait_until([&] {
    const auto all = read(under("p/"));
    return all.has_value() && all->values.size() == kKeys;
  });
}

// A large registry may take longer than one request may.
TEST_F(EtcdStoreTest, EachPageOfAReadHasTheTimeOfARequest) {
  EtcdProcess etcd({});
  etcd.start();
  EtcdOptions options = options_for({etcd.url()});
  options.request_timeout = seconds(2);
  options.page_keys = 1;
  connect(options);
  wait_until_ready();
  constexpr int kKeys = 2000;
  for (int i = 0; i < kKeys; i += 100) {
    std::vector<Operation> puts;
    for (int k = i; k < i + 100; ++k) puts.emplace_back(put_of("p/" + std::to_string(10000 + k)));
    ASSERT_TRUE(commit(std::move(puts)).has_value());
  }
  const auto begun = std::chrono::steady_clock::now();
  std::optional<Result<ReadResult>> result;
  store_->read(under("p/"), 0, [&](auto outcome) { result = std::move(outcome); });
  for (int i = 0; i < 2; ++i) {
    loop_.run_for(milliseconds(10));
    EXPECT_FALSE(result.has_value()) << "the read was too quick to be disturbed";
    etcd.freeze();
    loop_.run_for(milliseconds(1200));
    etcd.thaw();
  }
  ASSERT_TRUE(loop_.run_until([&] { return result.has_value(); }));
  EXPECT_GT(std::chrono::steady_clock::now() - begun, options.request_timeout);
  ASSERT_TRUE(result->has_value()) << result->error().message;
  EXPECT_EQ((*result)->values.size(), static_cast<std::size_t>(kKeys));
}

// As in 1.0; an etcd on a slow disk may need it, also where there are several.
TEST_F(EtcdStoreTest, EachEndpointHasTheTimeOfARequest) {
  EtcdProcess etcd({});
  etcd.start();
  connect(options_for({etcd.url(), free_url("http"), free_url("http")}));
  wait_until_ready();
  std::optional<Result<ReadResult>> result;
  etcd.freeze();
  store_->read(one("a"), 0, [&](auto outcome) { result = std::move(outcome); });
  loop_.run_for(milliseconds(1500));
  etcd.thaw();
  ASSERT_TRUE(loop_.run_until([&] { return result.has_value(); }));
  EXPECT_TRUE(result->has_value()) << result->error().message;
}

// --- Several members.

class EtcdClusterTest : public EtcdStoreTest {
 protected:
  void SetUp() override {
    std::vector<std::string> endpoints;
    for (const auto& member : members_) {
      member->start();
      endpoints.push_back(member->url());
    }
    connect(options_for(endpoints));
    wait_until_ready();
    const auto lease = grant(seconds(5));
    ASSERT_TRUE(lease.has_value()) << lease.error().message;
    store_->keep_lease(*lease, seconds(5), kept_.callbacks());
    ASSERT_TRUE(commit({Put{.key = "leased", .value = "", .lease = *lease}}).has_value());
    const auto now = read(one("leased"));
    ASSERT_TRUE(now.has_value());
    store_->watch(under("n/"), now->revision + 1, watched_.callbacks());
    expect_to_work();
  }

  // Writing, reading, the watch and the lease.
  void expect_to_work(Duration limit = seconds(20)) {
    const std::string key = "n/" + std::to_string(write_one());
    const auto result = read(one(key));
    ASSERT_TRUE(result.has_value()) << result.error().message;
    EXPECT_EQ(result->values.size(), 1U);
    const int renewed = kept_.renewed;
    EXPECT_TRUE(loop_.run_until(
        [&] {
          return !watched_.events.empty() && watched_.events.back().value.key == key &&
                 kept_.renewed > renewed;
        },
        limit));
    EXPECT_TRUE(kept_.lost.empty());
    const auto leased = read(one("leased"));
    ASSERT_TRUE(leased.has_value()) << leased.error().message;
    EXPECT_EQ(leased->values.size(), 1U) << "the lease has run out";
    std::set<std::string> seen;
    for (const WatchEvent& event : watched_.events) {
      EXPECT_TRUE(seen.insert(event.value.key).second) << event.value.key << " came twice";
    }
    EXPECT_TRUE(watched_.ends.empty());
  }

  std::vector<std::unique_ptr<EtcdProcess>> members_ = make_etcd_cluster(3);
  Watched watched_;
  Kept kept_;
};

TEST_F(EtcdClusterTest, GoesOnWhenAMemberIsKilled) {
  for (const auto& member : members_) {
    member->kill();
    expect_to_work();
    member->start();
    // The others must be two before the next one may go.
    loop_.run_for(milliseconds(1500));
    expect_to_work();
  }
}

TEST_F(EtcdClusterTest, GoesOnWhenTheMemberInUseFallsSilent) {
  members_[0]->freeze();
  const Time begin = loop_.now();
  expect_to_work();
  // A watch's silence is noticed by unanswered pings, 10 s + 3 s apart.
  EXPECT_LT(loop_.now() - begin, seconds(18));
}

TEST_F(EtcdClusterTest, WaitsForAMajority) {
  members_[1]->kill();
  members_[2]->kill();
  // The member that is left answers, but can decide nothing.
  const Time begin = loop_.now();
  const auto result = commit({put_of("a")});
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::unavailable) << result.error().message;
  EXPECT_EQ(read(one("a")).error().code, ErrorCode::unavailable);
  EXPECT_LT(loop_.now() - begin, seconds(8));
  members_[1]->start();
  expect_to_work();
}

// --- Users.

class EtcdUserTest : public EtcdStoreTest {
 protected:
  void SetUp() override {
    etcd_.start();
    connect(options_for({etcd_.url()}));
    wait_until_ready();
    const auto etcdctl = [&](std::vector<std::string> arguments) {
      arguments.insert(arguments.begin(), {"etcdctl", "--endpoints=" + etcd_.url()});
      run_program(arguments);
    };
    etcdctl({"user", "add", "root:secret"});
    etcdctl({"user", "grant-role", "root", "root"});
    etcdctl({"role", "add", "fleet"});
    etcdctl({"role", "grant-permission", "fleet", "readwrite", "--prefix=true", "fleet/"});
    etcdctl({"user", "add", "fleet:word"});
    etcdctl({"user", "grant-role", "fleet", "fleet"});
    etcdctl({"auth", "enable"});
  }

  EtcdOptions options_of(std::string user, std::string password) {
    EtcdOptions options = options_for({etcd_.url()});
    options.username = std::move(user);
    options.password = std::move(password);
    return options;
  }

  EtcdProcess etcd_{{.options = {"--auth-token-ttl=1"}}};
};

TEST_F(EtcdUserTest, ActsAsItsUser) {
  connect(options_of("fleet", "word"));
  const auto written = commit({put_of("fleet/a")});
  ASSERT_TRUE(written.has_value()) << written.error().message;
  EXPECT_EQ(read(under("fleet/"))->values.size(), 1U);
  EXPECT_EQ(read(one("other")).error().code, ErrorCode::denied);
  EXPECT_EQ(commit({put_of("other")}).error().code, ErrorCode::denied);
  Watched watched;
  store_->watch(one("other"), 1, watched.callbacks());
  ASSERT_TRUE(loop_.run_until([&] { return !watched.ends.empty(); }));
  EXPECT_EQ(watched.ends.at(0).code, ErrorCode::denied) << watched.ends.at(0).message;
}

TEST_F(EtcdUserTest, IsDeniedWithoutTheRightPassword) {
  for (const EtcdOptions& options :
       {options_of("fleet", "wrong"), options_of("nobody", "word"), options_of("", "")}) {
    connect(options);
    EXPECT_EQ(read(under("fleet/")).error().code, ErrorCode::denied);
    const auto refused = commit({put_of("fleet/a")});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::denied) << refused.error().message;
    EXPECT_THAT(refused.error().message, HasSubstr(etcd_.url()));
    Watched watched;
    store_->watch(under("fleet/"), 1, watched.callbacks());
    ASSERT_TRUE(loop_.run_until([&] { return !watched.ends.empty(); }));
    EXPECT_EQ(watched.ends.at(0).code, ErrorCode::denied) << watched.ends.at(0).message;
  }
}

TEST_F(EtcdUserTest, SignsInAgainWhenItsTokenIsNoLongerTaken) {
  connect(options_of("fleet", "word"));
  Watched watched;
  store_->watch(under("fleet/"), 1, watched.callbacks());
  const auto lease = grant(seconds(2));
  ASSERT_TRUE(lease.has_value()) << lease.error().message;
  Kept kept;
  store_->keep_lease(*lease, seconds(2), kept.callbacks());
  for (std::size_t round = 1; round <= 2; ++round) {
    const auto written = commit({put_of("fleet/a")});
    ASSERT_TRUE(written.has_value()) << written.error().message;
    ASSERT_TRUE(loop_.run_until([&] { return watched.events.size() == round; }));
    loop_.run_for(milliseconds(2500));  // in which the token runs out
  }
  // A restarted etcd knows no token at all.
  etcd_.kill();
  etcd_.start();
  wait_until([&] { return commit({put_of("fleet/b")}).has_value(); });
  ASSERT_TRUE(loop_.run_until([&] { return watched.events.size() >= 3; }));
  const int renewed = kept.renewed;
  ASSERT_TRUE(loop_.run_until([&] { return kept.renewed > renewed; }));
  EXPECT_TRUE(kept.lost.empty());
  EXPECT_TRUE(watched.ends.empty());
}

TEST_F(EtcdStoreTest, AUserDoesNoHarmWhereEtcdHasNone) {
  EtcdProcess etcd({});
  etcd.start();
  EtcdOptions options = options_for({etcd.url()});
  options.username = "fleet";
  options.password = "word";
  connect(options);
  wait_until_ready();
  EXPECT_TRUE(commit({put_of("a")}).has_value());
}

// --- TLS.

class EtcdTlsTest : public EtcdStoreTest {
 protected:
  void SetUp() override {
    make_authority("ca");
    make_authority("stranger");
    issue("ca", "server", "subjectAltName=IP:127.0.0.1");
    issue("ca", "client", "subjectAltName=DNS:client");
    issue("ca", "other", "subjectAltName=DNS:other.example");
  }

  std::string file(const std::string& name) { return (directory_.directory() / name).string(); }

  void make_authority(const std::string& name) {
    run_program({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=" + name,
                 "-keyout", file(name + ".key"), "-out", file(name + ".pem")});
  }
  void issue(const std::string& authority, const std::string& name, const std::string& extension) {
    std::ofstream(file(name + ".ext")) << extension << "\n";
    run_program({"openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                 "-nodes", "-subj", "/CN=" + name, "-keyout", file(name + ".key"), "-out",
                 file(name + ".csr")});
    run_program({"openssl", "x509", "-req", "-in", file(name + ".csr"), "-CA",
                 file(authority + ".pem"), "-CAkey", file(authority + ".key"), "-CAcreateserial",
                 "-days", "1", "-extfile", file(name + ".ext"), "-out", file(name + ".pem")});
  }
  std::unique_ptr<EtcdProcess> start_etcd(const std::string& certificate) {
    EtcdProcess::Setup setup;
    setup.scheme = "https";
    setup.options = {"--cert-file=" + file(certificate + ".pem"),
                     "--key-file=" + file(certificate + ".key"), "--client-cert-auth",
                     "--trusted-ca-file=" + file("ca.pem")};
    auto etcd = std::make_unique<EtcdProcess>(setup);
    etcd->start();
    return etcd;
  }
  EtcdOptions options_of(const std::string& url) {
    EtcdOptions options = options_for({url});
    options.ca_file = file("ca.pem");
    options.cert_file = file("client.pem");
    options.key_file = file("client.key");
    return options;
  }

  EtcdProcess directory_{EtcdProcess::Setup{}};  // for its directory only
};

TEST_F(EtcdTlsTest, ChecksTheServerAndShowsItsOwnCertificate) {
  const auto etcd = start_etcd("server");
  const EtcdOptions good = options_of(etcd->url());
  connect(good);
  wait_until_ready();
  EXPECT_TRUE(commit({put_of("a")}).has_value());
  const auto lease = grant(seconds(5));
  ASSERT_TRUE(lease.has_value());
  Kept kept;
  store_->keep_lease(*lease, seconds(5), kept.callbacks());
  EXPECT_TRUE(loop_.run_until([&] { return kept.renewed > 0; }));

  EtcdOptions distrustful = good;
  distrustful.ca_file = file("stranger.pem");
  connect(distrustful);
  EXPECT_EQ(read(one("a")).error().code, ErrorCode::unavailable);
  EtcdOptions nameless = good;
  nameless.cert_file.clear();
  nameless.key_file.clear();
  connect(nameless);
  EXPECT_EQ(read(one("a")).error().code, ErrorCode::unavailable);
}

TEST_F(EtcdTlsTest, RefusesAServerWithAnotherName) {
  const auto etcd = start_etcd("other");
  connect(options_of(etcd->url()));
  const Time deadline = loop_.now() + seconds(2);
  while (loop_.now() < deadline) {
    const auto result = read(one("a"));
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::unavailable);
  }
}

}  // namespace
}  // namespace fleet
