// What every UnitManager must do, as tests over any of them.
//
// A program that tests an implementation links unit_manager_contract.cc and names a way to make a
// UnitManagerWorld, a machine with one UnitManager on it:
//
//   INSTANTIATE_TEST_SUITE_P(Fake, UnitManagerContract, ::testing::Values(make_fake_world));
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "systemd/unit_manager.h"

namespace fleet {

class UnitManagerWorld {
 public:
  virtual ~UnitManagerWorld() = default;

  // fleetd's connection to the machine: the first one, a new one in its place, none.
  virtual UnitManager* manager() = 0;
  virtual void restart_manager() = 0;
  virtual void end_manager() = 0;

  // Runs the event loop until the condition holds. False when it does not in good time.
  virtual bool run_until(const std::function<bool()>& condition) = 0;
  // Lets so much happen that what should not happen would have.
  virtual void settle() = 0;

  // What others do on the machine.
  virtual void start_by_hand(const std::string& name) = 0;
  virtual void stop_by_hand(const std::string& name) = 0;
  virtual void crash(const std::string& name) = 0;
  virtual void put_file(const std::string& file_name, const std::string& text) = 0;
  // Puts a file of that unit where systemd looks before it looks at fleet's; answers its path.
  virtual std::string put_file_before(const std::string& name, const std::string& text) = 0;
  // Takes it away, and has systemd read its files again.
  virtual void take_file_before(const std::string& name) = 0;
  // Breaks the manager's connection to systemd. It can be made again.
  virtual void cut_connection() = 0;

  // What really is on the machine.
  virtual std::string command_of(
      const std::string& name) = 0;  // of the main process: "/bin/sleep 9"
  virtual std::string process_of(const std::string& name) = 0;  // differs after a restart
  virtual bool enabled(const std::string& name, const std::string& target) = 0;
  virtual bool has_file(const std::string& name) = 0;
};

using MakeUnitManagerWorld = std::unique_ptr<UnitManagerWorld> (*)();

class UnitManagerContract : public ::testing::TestWithParam<MakeUnitManagerWorld> {
 protected:
  void SetUp() override;
  void TearDown() override;

  UnitManager& manager() { return *world_->manager(); }

  // Call and wait for the outcome.
  Status write(const std::string& name, const std::string& text, bool enable = false);
  Status remove(const std::string& name);
  Status reload();
  Status start(const std::string& name);
  Status stop(const std::string& name);
  Status restart(const std::string& name);
  Status set_note(const std::string& name, const std::string& note);
  Result<UnitStatus> query(const std::string& name);
  Result<std::vector<LocalUnit>> list();

  // An outcome that is waited for later.
  struct Pending {
    std::optional<Status> outcome;
    int calls = 0;
  };
  UnitManager::Done into(Pending& pending);

  // "loaded active running", or the error's message.
  std::string states(const std::string& name);
  std::string note_of(const std::string& name);

  // Observes reports_ of `name` until the latest reads `states`.
  bool reported(const std::string& name, const std::string& states);
  void record_reports();

  Status wait_for(const std::function<void(UnitManager::Done)>& call);

  std::unique_ptr<UnitManagerWorld> world_;
  std::map<std::string, std::vector<UnitStatus>> reports_;
};

// What a status says, in three words.
std::string words(const UnitStatus& status);

}  // namespace fleet
