#include "engine/election.h"

#include <gtest/gtest.h>

namespace fleet {
namespace {

using namespace std::chrono_literals;
namespace event = election_event;
namespace effect = election_effect;

class ElectionTest : public testing::Test {
 protected:
  template <class Event>
  void send(const Event& what) {
    for (ElectionEffect& it : election_.step(what, now_)) {
      if (auto* commit = std::get_if<effect::Commit>(&it)) {
        commits_.push_back(std::move(commit->transaction));
      } else if (const auto* lead = std::get_if<effect::Lead>(&it)) {
        said_ += "lead " + std::to_string(lead->term) + "; ";
      } else if (std::holds_alternative<effect::StepDown>(it)) {
        said_ += "down; ";
      } else {
        wake_ = std::get<effect::Wake>(it).when;
      }
    }
  }

  static event::LeaderSeen seen(const std::string& id, LeaseId lease, Revision created) {
    KeyValue value;
    value.key = Keys().leader();
    value.value = id;
    value.create_revision = created;
    value.mod_revision = created;
    value.lease = lease;
    return {value};
  }
  static event::Answered answered(bool committed) {
    return {TransactionResult{.committed = committed, .revision = 9}};
  }

  Election election_{Keys(), "me"};
  Time now_{};
  std::vector<Transaction> commits_;
  std::string said_;
  std::optional<Time> wake_;
};

TEST_F(ElectionTest, CampaignsOnceItHasALeaseAndHasSeenThatNobodyLeads) {
  send(event::LeaseHeld{5});
  EXPECT_TRUE(commits_.empty()) << "who leads is not known yet";
  send(event::LeaderSeen{});
  ASSERT_EQ(commits_.size(), 1u);
  const auto& put = std::get<Put>(commits_[0].operations.at(0));
  EXPECT_EQ(put.key, Keys().leader());
  EXPECT_EQ(put.value, "me");
  EXPECT_EQ(put.lease, 5);
  EXPECT_EQ(commits_[0].compares.at(0).field, Compare::Field::create_revision);
  EXPECT_EQ(commits_[0].compares.at(0).operand, 0);
}

TEST_F(ElectionTest, LeadsInTheTermOfTheKeyThatItSees) {
  send(event::LeaseHeld{5});
  send(event::LeaderSeen{});
  send(answered(true));
  EXPECT_FALSE(election_.is_leading()) << "not before the key is seen";
  send(seen("me", 5, 42));
  EXPECT_EQ(said_, "lead 42; ");
  EXPECT_TRUE(election_.is_leading());
}

TEST_F(ElectionTest, FollowsAnotherAndCampaignsWhenThatIsGone) {
  send(event::LeaseHeld{5});
  send(seen("other", 4, 40));
  EXPECT_TRUE(commits_.empty());
  send(event::LeaderSeen{});
  EXPECT_EQ(commits_.size(), 1u);
}

TEST_F(ElectionTest, DoesNotAskAgainAndAgainWhileTheWatchIsSlow) {
  send(event::LeaseHeld{5});
  send(event::LeaderSeen{});
  for (bool committed : {true, false}) {
    send(answered(committed));
    EXPECT_EQ(commits_.size(), 1u);
  }
  EXPECT_EQ(wake_, now_ + 1s);
  now_ += 1s;
  send(event::TimePassed{});
  EXPECT_EQ(commits_.size(), 2u);
}

TEST_F(ElectionTest, TriesAgainInASecondWhenItGotNoAnswer) {
  send(event::LeaseHeld{5});
  send(event::LeaderSeen{});
  send(event::Answered{fail(ErrorCode::unavailable, "no answer")});
  EXPECT_EQ(commits_.size(), 1u);
  EXPECT_EQ(wake_, now_ + 1s);
  now_ += 1s;
  send(event::TimePassed{});
  EXPECT_EQ(commits_.size(), 2u);
}

TEST_F(ElectionTest, StepsDownWhenTheLeaseOrTheKeyIsLostOrTaken) {
  send(event::LeaseHeld{5});
  send(seen("me", 5, 42));
  send(event::LeaseLost{});
  EXPECT_EQ(said_, "lead 42; down; ");
  said_.clear();
  send(event::LeaseHeld{6});
  EXPECT_EQ(said_, "") << "the key is still on the old lease";
  send(seen("me", 6, 50));
  send(event::LeaderSeen{});
  EXPECT_EQ(said_, "lead 50; down; ");
  said_.clear();
  send(seen("me", 6, 60));
  send(seen("other", 7, 61));
  EXPECT_EQ(said_, "lead 60; down; ");
}

TEST_F(ElectionTest, ANewKeyIsANewTerm) {
  send(event::LeaseHeld{5});
  send(seen("me", 5, 42));
  send(seen("me", 5, 50));
  EXPECT_EQ(said_, "lead 42; down; lead 50; ");
}

TEST_F(ElectionTest, RemovesTheKeyOfItsEarlierFleetdBeforeItTakesItAnew) {
  send(event::LeaseHeld{5});
  send(seen("me", 4, 40));
  ASSERT_EQ(commits_.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Delete>(commits_[0].operations.at(0)));
  EXPECT_EQ(commits_[0].compares.at(0).operand, 40);
  EXPECT_EQ(said_, "");
  // The news of the removal comes before the answer, or after it: it campaigns at once.
  send(event::LeaderSeen{});
  send(answered(true));
  ASSERT_EQ(commits_.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<Put>(commits_[1].operations.at(0)));
}

TEST_F(ElectionTest, DoesNotCampaignWithoutALease) {
  send(event::LeaderSeen{});
  send(event::LeaseHeld{5});
  send(event::LeaseLost{});
  send(event::LeaderSeen{});
  EXPECT_EQ(commits_.size(), 1u);
}

TEST_F(ElectionTest, GivesTheLeadUpWhenItIsToTakePartNoMore) {
  send(event::LeaseHeld{5});
  send(event::LeaderSeen{});
  send(answered(true));
  send(seen("me", 5, 7));
  EXPECT_EQ(said_, "lead 7; ");
  send(event::TakePart{false});
  EXPECT_EQ(said_, "lead 7; down; ") << "it must not decide while the key is being removed";
  ASSERT_EQ(commits_.size(), 2u);
  EXPECT_EQ(std::get<Delete>(commits_[1].operations.at(0)).range.key, Keys().leader());
  EXPECT_EQ(commits_[1].compares.at(0).operand, 7);
  send(answered(true));
  send(event::LeaderSeen{});
  EXPECT_EQ(commits_.size(), 2u) << "the vacancy is for others";
  send(seen("you", 6, 9));
  send(event::LeaderSeen{});
  send(event::TakePart{true});
  EXPECT_EQ(commits_.size(), 3u) << "a candidate again";
}

TEST_F(ElectionTest, ClearsAwayWhatALeadingEarlierSelfLeftThoughItTakesNoPart) {
  send(event::TakePart{false});
  send(event::LeaseHeld{5});
  send(seen("me", 4, 7));
  ASSERT_EQ(commits_.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Delete>(commits_[0].operations.at(0)));
  send(answered(true));
  send(event::LeaderSeen{});
  EXPECT_EQ(commits_.size(), 1u);
  EXPECT_EQ(said_, "");
}

}  // namespace
}  // namespace fleet
