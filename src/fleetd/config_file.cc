#include "fleetd/config_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "base/limits.h"

namespace fleet {

namespace {

Result<std::string> read_text(const ConfigSource& source) {
  std::error_code ignored;  // what it would tell shows when the file is opened
  if (std::filesystem::is_directory(source.path, ignored)) {
    return fail(ErrorCode::failed,
                source.path + " is a directory; a configuration file is expected");
  }
  std::ifstream file(source.path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT && !source.required) return std::string();
    return fail(errno == ENOENT ? ErrorCode::not_found : ErrorCode::failed,
                fmt::format("cannot read the configuration file {}: {}", source.path,
                            std::strerror(errno)));
  }
  std::string text(limits::kConfigFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) {
    return fail(ErrorCode::failed, fmt::format("cannot read the configuration file {}: {}",
                                               source.path, std::strerror(errno)));
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > limits::kConfigFileBytes) {
    return fail(ErrorCode::too_large,
                fmt::format("the configuration file {} is larger than {} bytes", source.path,
                            limits::kConfigFileBytes));
  }
  return text;
}

Status check_readable(const LoadedConfig& loaded) {
  const Config& config = loaded.config;
  const std::pair<const char*, const std::string&> files[] = {
      {"etcd_cafile", config.etcd_cafile},
      {"etcd_certfile", config.etcd_certfile},
      {"etcd_keyfile", config.etcd_keyfile}};
  for (const auto& [key, path] : files) {
    if (path.empty() || access(path.c_str(), R_OK) == 0) continue;
    return fail(ErrorCode::invalid,
                fmt::format("{}: {}: cannot read {}: {}", loaded.origins.at(key), key, path,
                            std::strerror(errno)));
  }
  return {};
}

}  // namespace

Result<LoadedConfig> read_config(const ConfigSource& source) {
  const Result<std::string> text = read_text(source);
  if (!text) return std::unexpected(text.error());
  Result<LoadedConfig> loaded = load_config(source.path, *text, source.environment);
  if (!loaded) return loaded;
  if (const Status done = check_readable(*loaded); !done) return std::unexpected(done.error());
  return loaded;
}

Environment own_environment() {
  Environment environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

}  // namespace fleet
