#include "fleetctl/units.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/limits.h"
#include "fleetctl/wait.h"
#include "unit/requirements.h"
#include "unit/unit_name.h"

namespace fleet::ctl {
namespace {

// What the registry has of the units that were named.
using Known = std::map<std::string, UnitStatusEntity>;

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

class Planner {
 public:
  Planner(Context& context, std::string state) : context_(context), state_(std::move(state)) {}

  Result<std::vector<PlannedUnit>> plan() {
    const auto status = context_.api.status(unit_names(context_.args));
    if (!status) return std::unexpected(status.error());
    for (const UnitStatusEntity& unit : status->units) {
      if (!unit.destroyed) known_.emplace(unit.name, unit);
    }
    for (const std::string& argument : context_.args) {
      if (Status planned = add(unit_argument(argument)); !planned) {
        return std::unexpected(planned.error());
      }
    }
    return std::move(plan_);
  }

 private:
  Status add(const UnitArgument& argument) {
    // Named twice: the first time counts.
    if (std::ranges::find(plan_, argument.name, &PlannedUnit::name) != plan_.end()) return {};
    const auto found = known_.find(argument.name);
    return found == known_.end() ? add_new(argument) : add_known(argument, found->second);
  }

  Status add_known(const UnitArgument& argument, const UnitStatusEntity& unit) {
    PlannedUnit planned{unit.name, unit.global, false, false, {}, unit.desired_state};
    auto local = local_file(argument);
    const bool wants_replace = context_.flags.flag("replace");
    if (!local && wants_replace) return std::unexpected(local.error());
    if (!local) {
      // It is only compared with; what is to be done is done to the unit in the registry.
      context_.err << "WARNING: " << local.error().message << "\n";
      local = std::nullopt;
    }
    if (!*local) {
      if (wants_replace) {
        return fail(ErrorCode::not_found,
                    fmt::format("unable to find Unit({}) on filesystem: --replace needs the file "
                                "{} with the new content",
                                unit.name, argument.path));
      }
    } else if (hash_of((*local)->file) == unit.hash) {
      if (wants_replace) {
        context_.out << "Found same Unit(" << unit.name << ") in Registry, nothing to do\n";
      }
    } else if (!wants_replace) {
      context_.err << fmt::format(
          "WARNING: Unit {} in registry differs from local {} {}. Add --replace to override.\n",
          unit.name, from_template_ ? "template unit file" : "unit file", argument.path);
    } else if (may_replace(unit.desired_state)) {
      if (Status checked = check(unit.name, **local); !checked) return checked;
      planned.replace = true;
      planned.file = (*local)->file;
      planned.global = requirements_of(planned.file, split_unit_name(unit.name)).global;
    } else {
      context_.err << fmt::format(
          "Warning: can not replace Unit({}) in state '{}', use the appropriate command\n",
          unit.name, unit.desired_state);
    }
    if (unit.desired_state == state_ && !planned.replace) tell_of_trouble(unit);
    plan_.push_back(std::move(planned));
    return {};
  }

  // As in 1.0 nothing is done about a unit that has the state already; but if it is not well there,
  // the user should not take silence for success.
  void tell_of_trouble(const UnitStatusEntity& unit) {
    if (state_ == "inactive") return;
    const Judgement now = judge(&unit, state_ == "launched" ? Goal::launched : Goal::loaded);
    if (now.kind == Judgement::Kind::reached || now.text.empty()) return;
    std::string text = fmt::format("Unit {} is to be {} already", unit.name, state_);
    if (now.kind == Judgement::Kind::failed) {
      text +=
          fmt::format(" and is left as it is: {} on {}; \"fleetctl restart {}\" starts it again",
                      now.text, context_.machine(now.machine), unit.name);
    } else {
      text += fmt::format(" and waits: {}; \"fleetctl status {}\" shows more", now.text, unit.name);
    }
    context_.err << text << "\n";
  }

  // Replacing content stops what runs, so the command must be one that leaves the unit no lower.
  bool may_replace(const std::string& desired) const {
    if (state_ == "launched") return true;
    if (state_ == "loaded") return desired != "launched";
    return desired == "inactive";
  }

  Status add_new(const UnitArgument& argument) {
    auto file = read_unit_file(argument.path);
    if (!file) return failed_reading(argument.name, file.error());
    if (!*file) file = template_of(argument);
    if (!file) return std::unexpected(file.error());
    if (!*file) {
      return fail(
          ErrorCode::not_found,
          fmt::format("unable to find Unit({}) in Registry or on filesystem", argument.name));
    }
    if (Status checked = check(argument.name, **file); !checked) return checked;
    PlannedUnit planned{argument.name, false, true, false, std::move((*file)->file), "inactive"};
    planned.global = requirements_of(planned.file, split_unit_name(planned.name)).global;
    plan_.push_back(std::move(planned));
    return {};
  }

  // The content of an instance that has no file of its own. Many instances of one template are
  // the rule, so that it is looked for once.
  Result<std::optional<UnitSource>> template_of(const UnitArgument& argument) {
    const UnitName name = split_unit_name(argument.name);
    if (!name.is_instance()) return std::nullopt;
    const std::string path = directory_of(argument.path) + name.template_name();
    if (const auto known = templates_.find(path); known != templates_.end()) return known->second;
    auto found = find_template(name.template_name(), path);
    if (found) templates_.emplace(path, *found);
    return found;
  }

  Result<std::optional<UnitSource>> find_template(const std::string& name,
                                                  const std::string& path) {
    const auto found = context_.api.unit(name);
    if (!found) return std::unexpected(found.error());
    auto local = read_unit_file(path);
    if (!local) return failed_reading(name, local.error());
    if (!*found) return local;
    UnitSource stored{{(*found)->options}};
    if (*local && hash_of((*local)->file) != hash_of(stored.file)) {
      context_.err << fmt::format(
          "WARNING: Unit {} in registry differs from local template unit file {}. It is the one in "
          "the registry that is used.\n",
          name, path);
    }
    return std::optional(std::move(stored));
  }

  // What the user has on disk for a unit that the registry has too.
  Result<std::optional<UnitSource>> local_file(const UnitArgument& argument) {
    from_template_ = false;
    auto file = read_unit_file(argument.path);
    if (!file) return failed_reading(argument.name, file.error());
    if (*file) return file;
    const UnitName name = split_unit_name(argument.name);
    if (!name.is_instance()) return std::nullopt;
    from_template_ = true;
    file = read_unit_file(directory_of(argument.path) + name.template_name());
    if (!file) return failed_reading(name.template_name(), file.error());
    return file;
  }

  static std::unexpected<Error> failed_reading(const std::string& name, const Error& error) {
    return fail(error.code,
                fmt::format("failed getting Unit({}) from file: {}", name, error.message));
  }

  Status check(const std::string& name, const UnitSource& source) {
    Status status = check_unit_name(name);
    if (status) status = check_unit_file(source.file);
    if (status && source.file.options.empty()) {
      status = fail(ErrorCode::invalid, "its file has no options in it");
    }
    if (!status) {
      return std::unexpected(
          with_context(std::move(status.error()), "failed creating unit " + name));
    }
    // Of the instances of one template the first one says it for all.
    if (warned_.insert(hash_of(source.file)).second) warn(name, source);
    return {};
  }

  void warn(const std::string& name, const UnitSource& source) {
    for (const OptionWarning& warning : option_warnings(source.file)) {
      const std::string where =
          source.path.empty()
              ? ""
              : fmt::format("{}:{}: ", source.path, line_of_option(source.text, warning.option));
      context_.err << fmt::format("WARNING: {}Unit {}: {}\n", where, name, warning.text);
    }
  }

  Context& context_;
  const std::string state_;
  Known known_;
  std::vector<PlannedUnit> plan_;
  std::map<std::string, std::optional<UnitSource>> templates_;  // by path
  std::set<std::string> warned_;                                // of contents, by their hash
  bool from_template_ = false;  // the last local_file() was a template
};

// What is to be put for a unit of a plan.
std::vector<UnitEntity> requests_for(const PlannedUnit& unit, const std::string& state) {
  std::vector<UnitEntity> requests;
  UnitEntity entity;
  entity.name = unit.name;
  if (unit.create || unit.replace) {
    entity.options = unit.file.options;
    // A template cannot have another state; asking for it is left to the request that follows, so
    // that the API's own words tell why.
    const bool at_once = state != "inactive" && !split_unit_name(unit.name).is_template();
    if (at_once || unit.replace) entity.desired_state = at_once ? state : "inactive";
    requests.push_back(entity);
    if (at_once) return requests;
    entity.options.clear();
  }
  // submit leaves a unit that is there as it is.
  if (state == "inactive" || (unit.desired == state && !unit.replace)) return requests;
  entity.desired_state = state;
  requests.push_back(std::move(entity));
  return requests;
}

}  // namespace

UnitArgument unit_argument(const std::string& argument) {
  UnitArgument unit{argument, argument.substr(directory_of(argument).size())};
  if (!has_unit_type(unit.name)) {
    unit.name += ".service";
    unit.path += ".service";
  }
  return unit;
}

std::vector<std::string> unit_names(const std::vector<std::string>& arguments) {
  std::vector<std::string> names;
  for (const std::string& argument : arguments) {
    std::string name = unit_argument(argument).name;
    if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
  }
  return names;
}

Result<std::optional<UnitSource>> read_unit_file(const std::string& path) {
  std::error_code error;
  const auto type = std::filesystem::status(path, error).type();
  if (type == std::filesystem::file_type::not_found) return std::nullopt;
  if (error) return fail(ErrorCode::denied, fmt::format("{}: {}", path, error.message()));
  if (type == std::filesystem::file_type::directory) {
    return fail(ErrorCode::invalid, path + " is a directory");
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorCode::denied, fmt::format("{}: {}", path, std::strerror(errno)));
  // One byte more than is allowed is enough to be refused.
  std::string text(limits::kUnitFileBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (in.bad()) return fail(ErrorCode::failed, path + ": cannot be read");
  auto file = parse_unit_file(text);
  if (!file) return std::unexpected(with_context(std::move(file.error()), path));
  return UnitSource{std::move(*file), path, std::move(text)};
}

Result<std::vector<PlannedUnit>> plan_units(Context& context, const std::string& state) {
  return Planner(context, state).plan();
}

std::expected<std::vector<PlannedUnit>, ApplyFailure> apply_plan(
    Context& context, const std::vector<PlannedUnit>& plan, const std::string& state) {
  // Each entity is for the unit of the same index; a template may have two.
  std::vector<UnitEntity> entities;
  std::vector<const PlannedUnit*> units;
  for (const PlannedUnit& unit : plan) {
    for (UnitEntity& entity : requests_for(unit, state)) {
      entities.push_back(std::move(entity));
      units.push_back(&unit);
    }
  }
  std::vector<PlannedUnit> changed;
  std::size_t put = 0;
  const Status done = context.api.put_units(entities, [&](std::size_t index) {
    put = index + 1;
    const PlannedUnit& unit = *units[index];
    // What is replaced and started, or loaded, never is inactive.
    const bool is_told = unit.create || (unit.replace && state == "inactive");
    if (is_told && !entities[index].options.empty()) {
      context.out << "Unit " << unit.name << " " << (unit.global ? "" : "inactive") << "\n";
      context.out.flush();
    }
    if (state != "inactive" && entities[index].desired_state == state) changed.push_back(unit);
  });
  if (done) return changed;
  if (entities[put].options.empty()) return std::unexpected(ApplyFailure{done.error(), true});
  return std::unexpected(
      ApplyFailure{with_context(done.error(), "failed creating unit " + entities[put].name)});
}

}  // namespace fleet::ctl
