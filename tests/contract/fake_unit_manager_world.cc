// The UnitManager contract over the systemd in memory.
#include <memory>
#include <string>

#include "systemd/fake_unit_manager.h"
#include "tests/support/virtual_loop.h"
#include "unit_manager_contract.h"

namespace fleet {
namespace {

class FakeWorld final : public UnitManagerWorld {
 public:
  UnitManager* manager() override { return manager_.get(); }
  void restart_manager() override {
    manager_.reset();
    manager_ = std::make_unique<FakeUnitManager>(loop_, systemd_);
  }
  void end_manager() override { manager_.reset(); }

  bool run_until(const std::function<bool()>& condition) override {
    return loop_.run_until_true(condition, std::chrono::seconds(20));
  }
  void settle() override { loop_.run_for(std::chrono::seconds(1)); }

  void start_by_hand(const std::string& name) override { systemd_.start_by_hand(name); }
  void stop_by_hand(const std::string& name) override { systemd_.stop_by_hand(name); }
  void crash(const std::string& name) override { systemd_.crash(name); }
  void put_file(const std::string& file_name, const std::string& text) override {
    systemd_.put_file(file_name, text);
  }
  std::string put_file_before(const std::string& name, const std::string& text) override {
    const std::string path = "/etc/systemd/system/" + name;
    systemd_.put_file_before(name, path, text);
    return path;
  }
  void take_file_before(const std::string& name) override { systemd_.take_file_before(name); }
  void cut_connection() override {
    systemd_.disconnect();
    loop_.call_after(std::chrono::milliseconds(100), [this] { systemd_.connect(); });
  }

  std::string command_of(const std::string& name) override {
    const std::string text = systemd_.running_text(name).value_or("");
    const std::size_t begin = text.find("ExecStart=");
    if (begin == std::string::npos) return "";
    return text.substr(begin + 10, text.find('\n', begin) - begin - 10);
  }
  std::string process_of(const std::string& name) override {
    return std::to_string(systemd_.invocations(name));
  }
  bool enabled(const std::string& name, const std::string&) override {
    return systemd_.enabled(name);
  }
  bool has_file(const std::string& name) override { return systemd_.file(name).has_value(); }

 private:
  VirtualLoop loop_;
  FakeSystemd systemd_{loop_};
  std::unique_ptr<UnitManager> manager_ = std::make_unique<FakeUnitManager>(loop_, systemd_);
};

std::unique_ptr<UnitManagerWorld> make_fake_world() {
  return std::make_unique<FakeWorld>();
}

INSTANTIATE_TEST_SUITE_P(Fake, UnitManagerContract, ::testing::Values(make_fake_world));

}  // namespace
}  // namespace fleet
