// A std::map from names that are looked up far more often than they are added: finding one takes a
// hash instead of a walk through a tree of strings, which in a large cluster is most of what a
// decision costs. Everything else, the order of iteration among it, is the map's.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace fleet {

template <class T>
class NameMap {
  using Ordered = std::map<std::string, T, std::less<>>;

 public:
  using value_type = typename Ordered::value_type;
  using iterator = typename Ordered::iterator;
  using const_iterator = typename Ordered::const_iterator;

  NameMap() = default;
  NameMap(const NameMap& other) : ordered_(other.ordered_) { index_all(); }
  NameMap(NameMap&&) = default;
  NameMap& operator=(NameMap other) noexcept {
    ordered_.swap(other.ordered_);
    index_.swap(other.index_);
    return *this;
  }
  ~NameMap() = default;

  iterator begin() { return ordered_.begin(); }
  iterator end() { return ordered_.end(); }
  const_iterator begin() const { return ordered_.begin(); }
  const_iterator end() const { return ordered_.end(); }
  std::size_t size() const { return ordered_.size(); }
  bool empty() const { return ordered_.empty(); }

  iterator find(std::string_view name) {
    const auto found = index_.find(name);
    return found == index_.end() ? ordered_.end() : found->second;
  }
  const_iterator find(std::string_view name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? ordered_.end() : const_iterator(found->second);
  }
  bool contains(std::string_view name) const { return index_.contains(name); }
  // The first that is not before `name`.
  const_iterator lower_bound(std::string_view name) const { return ordered_.lower_bound(name); }

  // The one of that name, which is made if there is none.
  value_type& entry(const std::string& name) {
    if (const auto found = index_.find(name); found != index_.end()) return *found->second;
    const iterator made = ordered_.try_emplace(name).first;
    index_.emplace(made->first, made);
    return *made;
  }
  T& operator[](const std::string& name) { return entry(name).second; }

  void erase(iterator at) {
    index_.erase(at->first);
    ordered_.erase(at);
  }
  void clear() {
    index_.clear();
    ordered_.clear();
  }

 private:
  void index_all() {
    for (iterator at = ordered_.begin(); at != ordered_.end(); ++at) index_.emplace(at->first, at);
  }

  Ordered ordered_;
  std::unordered_map<std::string_view, iterator> index_;  // the names are those in `ordered_`
};

}  // namespace fleet
