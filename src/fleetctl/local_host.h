// The real Host: child processes, the resolver, /etc/machine-id.
#pragma once

#include "fleetctl/host.h"

namespace fleet::ctl {

class LocalHost final : public Host {
 public:
  // `machine_id_file` is /etc/machine-id but in tests.
  explicit LocalHost(std::string machine_id_file = "/etc/machine-id");

  std::string machine_id() override;
  std::string home(const std::string& user) override;
  bool on_terminal() override;
  Result<std::string> resolve(const std::string& name) override;
  Result<ProgramEnd> run(const Argv& argv) override;
  Result<std::unique_ptr<RunningProgram>> start(const Argv& argv,
                                                std::chrono::milliseconds patience) override;

 private:
  const std::string machine_id_file_;
};

}  // namespace fleet::ctl
