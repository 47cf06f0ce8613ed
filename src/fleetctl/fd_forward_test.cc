#include "fleetctl/fd_forward.h"

#include <array>
#include <csignal>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "net/test_socket.h"

namespace fleet::ctl {
namespace {

using testing::TempDir;
using testing::TestSocket;

// What sshd gives a command: pipes, one for its stdin and one for its stdout.
struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    read = TestSocket(ends[0]);
    write = TestSocket(ends[1]);
  }
  TestSocket read{::dup(0)};
  TestSocket write{::dup(0)};
};

class ForwardTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    const TestSocket listener = TestSocket::listen_unix(dir_.file("socket"));
    const auto connected = connect_unix_socket(dir_.file("socket"));
    ASSERT_TRUE(connected) << connected.error().message;
    socket_ = TestSocket(*connected);
    server_ = listener.accept();
    forwarder_ = std::thread([this] {
      status_ = forward(in_.read.fd(), out_.write.fd(), socket_.fd());
      // As the end of the process does.
      socket_.close();
      in_.read.close();
      out_.write.close();
    });
  }
  void TearDown() override {
    if (forwarder_.joinable()) forwarder_.join();
  }

  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t size = ::write(in_.write.fd(), text.data(), text.size());
      ASSERT_GT(size, 0);
      text.remove_prefix(static_cast<std::size_t>(size));
    }
  }
  std::string receive_all() {
    std::string text;
    std::array<char, 65536> block{};
    for (ssize_t size = 0; (size = ::read(out_.read.fd(), block.data(), block.size())) > 0;) {
      text.append(block.data(), static_cast<std::size_t>(size));
    }
    return text;
  }

  TempDir dir_;
  Pipe in_;
  Pipe out_;
  TestSocket socket_{::dup(0)};
  TestSocket server_{::dup(0)};
  Status status_;
  std::thread forwarder_;
};

TEST_F(ForwardTest, EndsWithTheServer) {
  send("question");
  EXPECT_EQ(server_.read_until("question"), "question");
  ASSERT_TRUE(server_.send("answer"));
  server_.close();
  EXPECT_EQ(receive_all(), "answer");
  forwarder_.join();
  EXPECT_TRUE(status_);
}

// `echo question | fleetctl fd-forward SOCKET` gets its answer.
TEST_F(ForwardTest, PassesTheEndOfItsInputOnAndTheAnswerBack) {
  send("question");
  in_.write.close();
  EXPECT_EQ(server_.read_all(), "question");
  ASSERT_TRUE(server_.send("answer"));
  server_.close();
  EXPECT_EQ(receive_all(), "answer");
}

// The ssh of a fleetctl that was killed: the server would never close by itself.
TEST_F(ForwardTest, EndsWhenNobodyReadsAnyMore) {
  out_.read.close();
  forwarder_.join();
  EXPECT_TRUE(status_);
  EXPECT_EQ(server_.read_all(), "");
}

TEST_F(ForwardTest, BothDirectionsFlowAtOnce) {
  // More than all buffers in between hold, and nobody reads before he has written everything.
  const std::string question(8 * 1024 * 1024, 'q');
  const std::string answer(8 * 1024 * 1024, 'a');
  std::string heard;
  std::thread server([&] {
    std::thread reader([&] { heard = server_.read_all(); });
    server_.send(answer);
    reader.join();
    server_.close();
  });
  std::thread client([&] {
    send(question);
    in_.write.close();
  });
  EXPECT_TRUE(receive_all() == answer);
  client.join();
  server.join();
  EXPECT_TRUE(heard == question);
}

TEST(ConnectUnixSocket, SaysWhyItCannot) {
  const TempDir dir;
  EXPECT_EQ(connect_unix_socket(dir.file("missing")).error().code, ErrorCode::unavailable);
  EXPECT_NE(connect_unix_socket(dir.file("missing")).error().message.find("missing"),
            std::string::npos);
  EXPECT_EQ(connect_unix_socket("").error().code, ErrorCode::invalid);
  EXPECT_EQ(connect_unix_socket(std::string(200, 'x')).error().code, ErrorCode::invalid);
}

}  // namespace
}  // namespace fleet::ctl
