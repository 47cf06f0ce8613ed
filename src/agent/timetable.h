// When each of many units is to be looked at again.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"

namespace fleet {

class Timetable {
 public:
  void set(const std::string& name, Time when) {
    erase(name);
    times_.emplace(name, when);
    order_.emplace(when, name);
  }

  void erase(const std::string& name) {
    const auto found = times_.find(name);
    if (found == times_.end()) return;
    order_.erase({found->second, name});
    times_.erase(found);
  }

  std::optional<Time> earliest() const {
    if (order_.empty()) return std::nullopt;
    return order_.begin()->first;
  }

  // Takes out what is due by `now`, the earliest first.
  std::vector<std::string> take_due(Time now) {
    std::vector<std::string> due;
    while (!order_.empty() && order_.begin()->first <= now) {
      due.push_back(order_.begin()->second);
      times_.erase(order_.begin()->second);
      order_.erase(order_.begin());
    }
    return due;
  }

 private:
  std::map<std::string, Time> times_;
  std::set<std::pair<Time, std::string>> order_;
};

}  // namespace fleet
