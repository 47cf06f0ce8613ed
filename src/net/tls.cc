#include "net/tls.h"

#include <array>
#include <cstring>
#include <new>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace fleet {
namespace {

// What an alert of the other side says about the certificate that was shown to it, or was not;
// empty if the error is none of those. Alerts: RFC 8446, 6.2.
std::string about_our_certificate(unsigned long code) {
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) return "";
  switch (ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET) {
    case SSL_AD_CERTIFICATE_REQUIRED:
      return "a client certificate is wanted there (--cert-file and --key-file)";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
      return fmt::format("the client certificate is not accepted there: {}",
                         ::ERR_reason_error_string(code));
    default:
      return "";
  }
}

std::string openssl_error() {
  const unsigned long code = ::ERR_get_error();
  ::ERR_clear_error();
  if (code == 0) return "unknown error";
  if (std::string text = about_our_certificate(code); !text.empty()) return text;
  if (ERR_SYSTEM_ERROR(code)) return std::strerror(ERR_GET_REASON(code));
  const char* reason = ::ERR_reason_error_string(code);
  return reason == nullptr ? fmt::format("error {:x}", code) : reason;
}

bool is_ip_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return ::inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

struct SslDeleter {
  void operator()(SSL* ssl) const { ::SSL_free(ssl); }
};

// OpenSSL works on memory only; the bytes go through `inner`, which knows the deadline and does
// not raise SIGPIPE as OpenSSL's own socket layer does.
class TlsTransport final : public Transport {
 public:
  TlsTransport(std::unique_ptr<Transport> inner, SSL_CTX* context)
      : inner_(std::move(inner)), ssl_(::SSL_new(context)) {
    if (ssl_ == nullptr) throw std::bad_alloc();
    in_ = ::BIO_new(::BIO_s_mem());
    out_ = ::BIO_new(::BIO_s_mem());
    ::SSL_set_bio(ssl_.get(), in_, out_);  // which owns them from now on
    ::SSL_set_connect_state(ssl_.get());
  }

  Status handshake(const std::string& host, Deadline deadline) {
    // Without the name to be verified any certificate would do.
    const bool named =
        is_ip_address(host)
            ? ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(ssl_.get()), host.c_str()) == 1
            : ::SSL_set1_host(ssl_.get(), host.c_str()) == 1 &&
                  ::SSL_set_tlsext_host_name(ssl_.get(), host.c_str()) == 1;
    if (!named) {
      return fail(ErrorCode::invalid,
                  fmt::format("{} is no name that a certificate could have", host));
    }
    const Result<int> done = drive([&] { return ::SSL_do_handshake(ssl_.get()); }, deadline);
    if (!done) return std::unexpected(done.error());
    if (*done == 1) return {};
    const long verified = ::SSL_get_verify_result(ssl_.get());
    if (verified != X509_V_OK) {
      return fail(ErrorCode::denied,
                  fmt::format("the certificate of {} is not accepted: {} (--ca-file names the "
                              "authority to trust)",
                              host, ::X509_verify_cert_error_string(verified)));
    }
    return fail(refused_ ? ErrorCode::denied : ErrorCode::unavailable,
                failure_.empty() ? "TLS handshake failed" : "TLS handshake failed: " + failure_);
  }

  Result<std::size_t> read(std::string& buffer, Deadline deadline) override {
    std::array<char, 16 * 1024> block;  // NOLINT: filled by SSL_read
    const Result<int> size =
        drive([&] { return ::SSL_read(ssl_.get(), block.data(), static_cast<int>(block.size())); },
              deadline);
    if (!size) return std::unexpected(size.error());
    if (*size <= 0) {
      if (failure_.empty()) return std::size_t{0};
      // With TLS 1.3 a server looks at the client's certificate only after the handshake.
      if (refused_) return fail(ErrorCode::denied, failure_);
      return fail(ErrorCode::unavailable, "connection lost: " + failure_);
    }
    buffer.append(block.data(), static_cast<std::size_t>(*size));
    return static_cast<std::size_t>(*size);
  }

  Status write(std::string_view data, Deadline deadline) override {
    if (data.empty()) return {};
    const Result<int> size =
        drive([&] { return ::SSL_write(ssl_.get(), data.data(), static_cast<int>(data.size())); },
              deadline);
    if (!size) return std::unexpected(size.error());
    if (*size <= 0) return fail(ErrorCode::unavailable, "connection lost: " + failure_);
    return {};
  }

  // Session tickets that arrive after the handshake make this true, which costs no more than a new
  // connection.
  bool stale() const override { return inner_->stale(); }

 private:
  // Repeats `step` while it wants bytes moved. Returns its last result; if that is not positive,
  // failure_ says why, empty for a proper end of the stream.
  template <class Step>
  Result<int> drive(Step step, Deadline deadline) {
    for (;;) {
      ::ERR_clear_error();
      const int result = step();
      const int wants = ::SSL_get_error(ssl_.get(), result);
      // An alert for the other side may be waiting too, so flush in any case.
      const Status flushed = flush(deadline);
      if (result > 0) {
        if (!flushed) return std::unexpected(flushed.error());
        return result;
      }
      if (wants != SSL_ERROR_WANT_READ && wants != SSL_ERROR_WANT_WRITE) {
        refused_ = !about_our_certificate(::ERR_peek_error()).empty();
        failure_ = wants == SSL_ERROR_ZERO_RETURN ? "" : openssl_error();
        return result;
      }
      if (!flushed) return std::unexpected(flushed.error());
      if (wants == SSL_ERROR_WANT_READ) {
        std::string bytes;
        const Result<std::size_t> size = inner_->read(bytes, deadline);
        if (!size) return std::unexpected(size.error());
        if (*size == 0) {
          failure_ = "closed by the other side";
          return 0;
        }
        ::BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
      }
    }
  }

  Status flush(Deadline deadline) {
    std::array<char, 16 * 1024> block;  // NOLINT: filled by BIO_read
    while (::BIO_ctrl_pending(out_) > 0) {
      const int size = ::BIO_read(out_, block.data(), static_cast<int>(block.size()));
      if (size <= 0) break;
      const Status sent = inner_->write({block.data(), static_cast<std::size_t>(size)}, deadline);
      if (!sent) return sent;
    }
    return {};
  }

  std::unique_ptr<Transport> inner_;
  std::unique_ptr<SSL, SslDeleter> ssl_;
  BIO* in_ = nullptr;
  BIO* out_ = nullptr;
  std::string failure_;
  bool refused_ = false;  // by the other side, for the certificate that it was shown or not shown
};

}  // namespace

void TlsContextDeleter::operator()(SSL_CTX* context) const {
  ::SSL_CTX_free(context);
}

Result<TlsContext> make_tls_context(const TlsOptions& options) {
  TlsContext context(::SSL_CTX_new(::TLS_client_method()));
  if (!context) return fail(ErrorCode::failed, "cannot start TLS: " + openssl_error());
  ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (options.ca_file.empty()) {
    ::SSL_CTX_set_default_verify_paths(context.get());
  } else if (::SSL_CTX_load_verify_locations(context.get(), options.ca_file.c_str(), nullptr) !=
             1) {
    return fail(ErrorCode::invalid,
                fmt::format("cannot use the CA file {}: {}", options.ca_file, openssl_error()));
  }
  if (options.cert_file.empty() != options.key_file.empty()) {
    return fail(ErrorCode::invalid,
                "a client certificate needs both files, --cert-file and --key-file");
  }
  if (options.cert_file.empty()) return context;
  if (::SSL_CTX_use_certificate_chain_file(context.get(), options.cert_file.c_str()) != 1) {
    return fail(ErrorCode::invalid, fmt::format("cannot use the certificate file {}: {}",
                                                options.cert_file, openssl_error()));
  }
  if (::SSL_CTX_use_PrivateKey_file(context.get(), options.key_file.c_str(), SSL_FILETYPE_PEM) !=
      1) {
    return fail(ErrorCode::invalid,
                fmt::format("cannot use the key file {}: {}", options.key_file, openssl_error()));
  }
  return context;
}

Result<std::unique_ptr<Transport>> start_tls(std::unique_ptr<Transport> inner, SSL_CTX* context,
                                             const std::string& host, Deadline deadline) {
  auto transport = std::make_unique<TlsTransport>(std::move(inner), context);
  const Status done = transport->handshake(host, deadline);
  if (!done) return std::unexpected(done.error());
  return transport;
}

}  // namespace fleet
