// HttpClient over TLS, against a small OpenSSL server with certificates made on the spot.
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/http_client.h"
#include "net/test_socket.h"

namespace fleet {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using testing::TempDir;
using testing::TestSocket;

// A self-signed certificate for 127.0.0.1 and its key, as PEM files.
struct Identity {
  Identity(const TempDir& dir, const std::string& name, const char* names)
      : cert_file(dir.file(name + ".pem")), key_file(dir.file(name + ".key")) {
    EVP_PKEY* key = ::EVP_EC_gen("P-256");
    X509* cert = ::X509_new();
    ::X509_set_version(cert, 2);
    ::ASN1_INTEGER_set(::X509_get_serialNumber(cert), 1);
    ::X509_gmtime_adj(::X509_getm_notBefore(cert), -3600);
    ::X509_gmtime_adj(::X509_getm_notAfter(cert), 3600);
    ::X509_set_pubkey(cert, key);
    X509_NAME* subject = ::X509_get_subject_name(cert);
    ::X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                 reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    ::X509_set_issuer_name(cert, subject);
    X509_EXTENSION* extension =
        ::X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names);
    ::X509_add_ext(cert, extension, -1);
    ::X509_EXTENSION_free(extension);
    ::X509_sign(cert, key, ::EVP_sha256());
    FILE* file = std::fopen(cert_file.c_str(), "w");
    ::PEM_write_X509(file, cert);
    std::fclose(file);
    file = std::fopen(key_file.c_str(), "w");
    ::PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    ::X509_free(cert);
    ::EVP_PKEY_free(key);
  }
  std::string cert_file;
  std::string key_file;
};

// Serves one connection: answers each request with "ok" until the client leaves.
class TlsServer {
 public:
  TlsServer(const Identity& identity, const Identity* client)
      : listener_(TestSocket::listen_tcp()), context_(::SSL_CTX_new(::TLS_server_method())) {
    ::SSL_CTX_use_certificate_chain_file(context_, identity.cert_file.c_str());
    ::SSL_CTX_use_PrivateKey_file(context_, identity.key_file.c_str(), SSL_FILETYPE_PEM);
    if (client != nullptr) {
      ::SSL_CTX_set_verify(context_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
      ::SSL_CTX_load_verify_locations(context_, client->cert_file.c_str(), nullptr);
    }
    thread_ = std::thread([this] { serve(); });
  }
  ~TlsServer() {
    thread_.join();
    ::SSL_CTX_free(context_);
  }
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;
  Endpoint endpoint() const {
    return *Endpoint::parse("https://127.0.0.1:" + std::to_string(listener_.port()));
  }

 private:
  void serve() {
    const TestSocket socket = listener_.accept();
    SSL* ssl = ::SSL_new(context_);
    ::SSL_set_fd(ssl, socket.fd());
    if (::SSL_accept(ssl) == 1) {
      char buffer[4096];
      while (::SSL_read(ssl, buffer, sizeof(buffer)) > 0) {
        const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        ::SSL_write(ssl, answer.data(), static_cast<int>(answer.size()));
      }
    }
    ::SSL_free(ssl);
  }

  TestSocket listener_;
  SSL_CTX* context_;
  std::thread thread_;
};

class TlsTest : public ::testing::Test {
 protected:
  void SetUp() override { ::signal(SIGPIPE, SIG_IGN); }  // the test server's own writes
  Result<HttpResponse> ask(const Endpoint& endpoint, const TlsOptions& options) {
    auto client = HttpClient::create(endpoint, options);
    if (!client) return std::unexpected(client.error());
    HttpRequest request;
    request.method = "GET";
    request.target = "/";
    auto first = (*client)->send(request, seconds(10));
    return first ? (*client)->send(request, seconds(10)) : first;
  }
  TempDir dir_;
  Identity server_{dir_, "server", "IP:127.0.0.1"};
  Identity client_{dir_, "client", "DNS:client"};
};

TEST_F(TlsTest, VerifiedByItsCa) {
  TlsServer server(server_, nullptr);
  const auto response = ask(server.endpoint(), {server_.cert_file, "", ""});
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "ok");
}

TEST_F(TlsTest, ShowsItsCertificate) {
  TlsServer server(server_, &client_);
  const auto response =
      ask(server.endpoint(), {server_.cert_file, client_.cert_file, client_.key_file});
  ASSERT_TRUE(response) << response.error().message;
}

TEST_F(TlsTest, IsRefusedWithoutACertificate) {
  TlsServer server(server_, &client_);
  const auto response = ask(server.endpoint(), {server_.cert_file, "", ""});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::denied);
  EXPECT_THAT(response.error().message, HasSubstr("a client certificate is wanted there"));
}

TEST_F(TlsTest, IsRefusedWithACertificateThatIsNotTrusted) {
  TlsServer server(server_, &client_);
  const auto response =
      ask(server.endpoint(), {server_.cert_file, server_.cert_file, server_.key_file});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::denied);
  EXPECT_THAT(response.error().message, HasSubstr("the client certificate is not accepted there"));
}

TEST_F(TlsTest, UnknownAuthorityIsRefused) {
  TlsServer server(server_, nullptr);
  const auto response = ask(server.endpoint(), {});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::denied);
  EXPECT_THAT(response.error().message, HasSubstr("the certificate of 127.0.0.1 is not accepted"));
  EXPECT_THAT(response.error().message, HasSubstr("self-signed certificate"));
}

TEST_F(TlsTest, WrongNameIsRefused) {
  const Identity other(dir_, "other", "DNS:elsewhere.example");
  TlsServer server(other, nullptr);
  const auto response = ask(server.endpoint(), {other.cert_file, "", ""});
  ASSERT_FALSE(response);
  EXPECT_THAT(response.error().message, HasSubstr("IP address mismatch"));
}

TEST_F(TlsTest, PlainServerIsNotTaken) {
  TestSocket listener = TestSocket::listen_tcp();
  std::thread thread([&] {
    const TestSocket socket = listener.accept();
    socket.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    socket.read_all();
  });
  const auto endpoint = Endpoint::parse("https://127.0.0.1:" + std::to_string(listener.port()));
  const auto response = ask(*endpoint, {});
  thread.join();
  ASSERT_FALSE(response);
  EXPECT_THAT(response.error().message, HasSubstr("wrong version number"));
}

TEST_F(TlsTest, BadFilesAreNamed) {
  const Endpoint endpoint = *Endpoint::parse("https://127.0.0.1:1");
  EXPECT_THAT(ask(endpoint, {"/nosuch.pem", "", ""}).error().message,
              HasSubstr("/nosuch.pem: No such file"));
  EXPECT_THAT(ask(endpoint, {"", "/nosuch.pem", "/nosuch.key"}).error().message,
              HasSubstr("/nosuch.pem: No such file"));
  EXPECT_THAT(ask(endpoint, {"", client_.cert_file, ""}).error().message, HasSubstr("both files"));
  EXPECT_THAT(ask(endpoint, {"", client_.cert_file, server_.key_file}).error().message,
              HasSubstr(server_.key_file));
}

}  // namespace
}  // namespace fleet
