// What SIGUSR1 shows (behaviour document 4.5): for whoever looks at one machine alone, also while
// the registry is out of reach.
#pragma once

#include <string>

#include "agent/agent.h"

namespace fleet {

// One line of JSON in 1.0's form: what the agent's units are to be, what it last knew of them, and
// which of them it observes. Nothing waits "ToPublish": a state is published as it changes.
std::string agent_dump(const Agent& agent, const std::string& machine_id);

}  // namespace fleet
