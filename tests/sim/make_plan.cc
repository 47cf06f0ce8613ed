// What a seed stands for.

#include <algorithm>

#include <fmt/format.h>

#include "tests/sim/plan.h"
#include "tests/sim/random.h"

namespace fleet {

namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {
    plan_.setup.push_back({"seed", std::to_string(seed)});
  }

  Plan make() {
    choose_cluster();
    choose_units();
    const std::int64_t phases = random_.between(1, 3);
    for (std::int64_t i = 0; i < phases; ++i) phase();
    return std::move(plan_);
  }

 private:
  // --- The cluster and its units.

  void choose_cluster() {
    // Small clusters show most; large ones are dear and show a little more.
    const std::int64_t count = random_.log_between(1, 40);
    for (std::int64_t i = 1; i <= count; ++i) {
      machines_.push_back(fmt::format("m{}", i));
      Words words = {"machine", machines_.back()};
      if (random_.chance(60)) words.push_back(i % 2 == 0 ? "odd=no" : "odd=yes");
      if (random_.chance(40)) words.push_back(fmt::format("rack={}", random_.between(1, 3)));
      plan_.setup.push_back(std::move(words));
    }
    if (random_.chance(20)) {
      for (const std::string& id : machines_) {
        if (random_.chance(30)) plan_.setup.push_back({"later", id});
      }
    }
    if (random_.chance(40)) {
      plan_.setup.push_back({"line", fmt::format("delay={}", random_.log_between(1, 40)),
                             fmt::format("jitter={}", random_.log_between(1, 20))});
    }
    if (random_.chance(30)) latency_ = random_.log_between(1, 100);
  }

  std::string any_unit() { return random_.one_of(units_); }

  std::string_view kind() {
    static const std::vector<std::string_view> kOthers = {".timer", ".socket", "@1.service",
                                                          "@.service"};
    return random_.chance(85) ? ".service" : random_.one_of(kOthers);
  }

  // Mostly of one unit.
  std::string glob() {
    const std::string unit = any_unit();
    return random_.chance(80) ? unit : unit.substr(0, 2) + "*";
  }

  Words content() {
    // What runs until it is stopped, and what ends, fails or never comes up.
    static const std::vector<std::string> kOthers = {
        "oneshot", "slow", "true", "false", "brief", "never", "skipped", "oneshot-fails", "bad"};
    Words words = {"run=sleep"};
    if (random_.chance(15)) words = {"run=stays"};
    if (random_.chance(15)) words = {"run=" + random_.one_of(kOthers)};
    const bool global = random_.chance(20);
    if (global) words.push_back("global");
    if (random_.chance(25)) words.push_back("conflicts=" + glob());
    if (!global && random_.chance(15)) words.push_back("replaces=" + any_unit());
    if (!global && random_.chance(15)) {
      words.push_back("of=" + any_unit());
    } else if (random_.chance(20)) {
      words.push_back(random_.chance(50) ? "meta=odd=yes" : "meta=rack=1");
    } else if (!global && random_.chance(4)) {
      words.push_back("on=" + machine());
    }
    return words;
  }

  void choose_units() {
    const std::int64_t count = random_.log_between(1, 30);
    for (std::int64_t i = 0; i < count; ++i) units_.push_back(fmt::format("u{}{}", i, kind()));
    for (const std::string& unit : units_) {
      const Words one = content();
      const std::int64_t contents = random_.between(1, 3);
      for (std::int64_t i = 0; i < contents; ++i) {
        Words words = {"unit", unit, std::to_string(i)};
        // Another content is mostly other work with the same wishes.
        const Words wishes = i == 0 || random_.chance(70) ? one : content();
        words.insert(words.end(), wishes.begin(), wishes.end());
        for (const std::string& wish : wishes) {
          if (wish.starts_with("of=")) followers_.push_back({unit, i, wish.substr(3)});
        }
        words.push_back(fmt::format("mark={}", i));
        plan_.setup.push_back(std::move(words));
      }
      contents_.push_back(contents);
    }
  }

  // --- What happens.

  const std::string& machine() { return random_.one_of(machines_); }

  void add(Words words) { add_later(0s, std::move(words)); }
  // In the middle of what happens by then.
  void add_later(Duration delay, Words words) {
    const Duration at = now_ + delay;
    const auto begin = plan_.actions.begin() + static_cast<std::ptrdiff_t>(phase_began_);
    const auto place =
        std::upper_bound(begin, plan_.actions.end(), at,
                         [](Duration time, const Action& action) { return time < action.at; });
    plan_.actions.insert(place, {at, std::move(words)});
  }
  void pass(Duration time) { now_ += time; }

  void phase() {
    phase_began_ = plan_.actions.size();
    now_ = 0s;
    if (phase_began_ == 0 && latency_ != 0) {
      for (const std::string& id : machines_) add({"latency", id, std::to_string(latency_)});
    }
    pass(2s);
    const std::int64_t steps = random_.between(20, 120);
    for (std::int64_t i = 0; i < steps; ++i) {
      if (random_.chance(55)) {
        use();
      } else {
        befall();
      }
      pass(milliseconds(random_.chance(35) ? random_.between(0, 60'000)
                                           : random_.log_between(1, 1'500)));
    }
    pass(5s);
    while (plan_.actions.back().at > now_) plan_.actions.pop_back();
    add({"rest", std::to_string(random_.between(20, 60) * 60)});
  }

  void use() {
    const std::size_t i = random_.pick(units_.size());
    const std::string& unit = units_[i];
    const std::string& contact = machine();
    // Whoever changes something often looks what has become of it.
    if (random_.chance(10)) {
      add_later(milliseconds(random_.between(0, 100)), {"get", contact, "/status"});
    }
    const auto put = [&](const std::string& state) {
      add({"put", contact, unit, state,
           std::to_string(random_.pick(static_cast<std::uint64_t>(contents_[i])))});
    };
    switch (random_.pick(12)) {
      case 0:
        return add({"destroy", contact, unit});
      case 1:
        return put("inactive");
      case 2:
        return put("loaded");
      case 3:
        add({"destroy", contact, unit});
        return put("launched");
      case 4:
        return add({"state", contact, unit, random_.chance(70) ? "launched" : "inactive"});
      case 5:
        return add({"restart", contact, unit});
      case 6:
        return change_metadata();
      case 7:
        return look();
      default:
        return put("launched");
    }
  }

  void change_metadata() {
    Words words = {"metadata", machine(), machine()};
    if (random_.chance(50)) {
      words.insert(words.end(), {"odd", random_.chance(50) ? "yes" : "no"});
    } else {
      words.insert(words.end(), {"rack", std::to_string(random_.between(1, 3))});
    }
    if (random_.chance(20)) words.pop_back();  // removes it
    add(std::move(words));
  }

  void look() {
    switch (random_.pick(6)) {
      case 0:
        return add({"get", machine(), "/units"});
      case 1:
        return add({"get", machine(), "/state"});
      case 2:
        return add({"get", machine(), "/machines"});
      case 3:
        return add({"get", machine(), "/units/" + any_unit()});
      default:
        return add({"get", machine(), "/status"});
    }
  }

  Duration a_while() { return milliseconds(random_.log_between(100, 200'000)); }

  void befall() {
    const std::string& id = machine();
    switch (random_.pick(15)) {
      case 0:
        add({"off", id});
        return add_later(a_while(), {"start", id});
      case 1:
        add({"kill", id});
        return add_later(a_while(), {"start", id});
      case 2:
        return add({"start", id});
      case 3:
        add({"leave", id});
        return add_later(a_while(), {"start", id});
      case 4:
      case 5:
        return befall_network();
      case 6:
      case 7:
      case 8:
        return befall_unit();
      case 9:
        return befall_store();
      case 10:
        add({"bus", id, "down"});
        return add_later(milliseconds(random_.log_between(10, 20'000)), {"bus", id, "up"});
      case 11:
        return refuse(id);
      case 12:
        return damage(id);
      case 13:
        return lose_many();
      default:
        return befall_process();
    }
  }

  void befall_network() {
    std::vector<std::string> whom;
    switch (random_.pick(4)) {
      case 0:
        whom = machines_;
        break;
      case 1:
        for (const std::string& id : machines_) {
          if (random_.chance(50)) whom.push_back(id);
        }
        break;
      default:
        whom.push_back(machine());
    }
    Words how;
    switch (random_.pick(4)) {
      case 0:
        how = {"deaf"};
        break;
      case 1:
        how = {fmt::format("delay={}", random_.log_between(10, 4'000)),
               fmt::format("jitter={}", random_.log_between(1, 2'000))};
        break;
      default:
        how = {"down"};
    }
    const Duration lasts = a_while();
    for (const std::string& id : whom) {
      Words words = {"link", id};
      words.insert(words.end(), how.begin(), how.end());
      add(std::move(words));
      // They do not all come back at the same moment.
      add_later(lasts + milliseconds(random_.chance(50) ? 0 : random_.between(0, 20'000)),
                {"link", id});
    }
  }

  // Most machines are cut off almost at once, and for longer than their leases last.
  void lose_many() {
    const Duration lasts = std::chrono::seconds(random_.between(60, 200));
    for (const std::string& id : machines_) {
      if (!random_.chance(75)) continue;
      const Duration begins = milliseconds(random_.between(0, 5'000));
      add_later(begins, {"link", id, "down"});
      add_later(begins + lasts + milliseconds(random_.between(0, 20'000)), {"link", id});
    }
  }

  void befall_unit() {
    const std::string& id = machine();
    const std::string& unit = any_unit();
    switch (random_.pick(8)) {
      case 0:
      case 1:
        return add({"unscript", id, unit});
      case 2:
        return add({"crash", id, unit});
      case 3:
        return add({"hand-stop", id, unit});
      case 4:
        if (random_.chance(50)) return start_while_it_is_replaced();
        return add({"hand-start", id, unit});
      default: {
        Words words = {"script", id, unit};
        if (random_.chance(50)) words.push_back(fmt::format("stop={}", random_.between(0, 20)));
        if (random_.chance(50)) words.push_back(fmt::format("start={}", random_.between(0, 20)));
        if (random_.chance(20)) words.emplace_back("fails");
        if (random_.chance(20)) words.emplace_back("mute");
        if (random_.chance(10)) words.emplace_back("times-out");
        if (random_.chance(10)) words.emplace_back("hangs");
        if (random_.chance(10)) words.emplace_back("stop-hangs");
        add(std::move(words));
        if (random_.chance(50)) add_later(a_while(), {"unhang", id});
      }
    }
  }

  // As a unit's socket does that is called all the time.
  void start_while_it_is_replaced() {
    const std::size_t i = random_.pick(units_.size());
    const auto content = random_.pick(static_cast<std::uint64_t>(contents_[i]));
    add({"put", machine(), units_[i], "launched", std::to_string(content)});
    for (int times = 0; times < 8; ++times) {
      const Duration delay = milliseconds(random_.between(0, 300));
      for (const std::string& id : machines_) add_later(delay, {"hand-start", id, units_[i]});
    }
  }

  // The disk is full, or systemd refuses.
  void refuse(const std::string& id) {
    static const std::vector<std::string> kCalls = {
        "list", "write", "remove", "set_note", "reload", "start", "stop", "restart", "query"};
    const std::string& call = random_.one_of(kCalls);
    add({"refuse", id, call, std::to_string(random_.between(1, 4))});
    add_later(a_while(), {"refuse", id, call, "0"});
  }

  // A record of an unknown version, or none where one was.
  void damage(const std::string& id) {
    if (!followers_.empty() && random_.chance(30)) return lose_what_is_followed(id);
    static const std::vector<std::string> kKinds = {"unit", "target", "schedule", "state"};
    add({random_.chance(60) ? "damage" : "lose", random_.one_of(kKinds), any_unit(), id});
    add_later(a_while(), {"mend"});
  }

  // In the moment in which the follower is put beside it.
  void lose_what_is_followed(const std::string& contact) {
    const auto& [unit, content, followed] = random_.one_of(followers_);
    add({"put", contact, unit, "launched", std::to_string(content)});
    const auto delay = milliseconds(random_.between(0, 100));
    for (const std::string& id : machines_) add_later(delay, {"lose", "schedule", followed, id});
    add_later(delay + a_while(), {"mend"});
  }

  void befall_store() {
    const std::string& id = machine();
    switch (random_.pick(5)) {
      case 0:
        return add({"break-calls", id});
      case 1:
        return add({"compact"});
      case 2:
        return add({"revoke", id});
      case 3:
        return add({"end-watches", id});
      default:
        return add({"depose"});
    }
  }

  void befall_process() {
    const std::string& id = machine();
    if (random_.chance(30))
      return add({"jump", id, std::to_string(random_.log_between(10, 100'000))});
    add({random_.chance(50) ? "pause" : "suspend", id});
    add_later(a_while(), {"go-on", id});
  }

  Random random_;
  Plan plan_;
  std::vector<std::string> machines_;
  std::vector<std::string> units_;
  std::vector<std::int64_t> contents_;  // how many each unit has
  struct Follower {
    std::string unit;
    std::int64_t content = 0;
    std::string followed;
  };
  std::vector<Follower> followers_;
  std::int64_t latency_ = 0;  // of systemd, in ms
  Duration now_{};
  std::size_t phase_began_ = 0;  // its first action
};

}  // namespace

Plan make_plan(std::uint64_t seed) {
  return Maker(seed).make();
}

}  // namespace fleet
