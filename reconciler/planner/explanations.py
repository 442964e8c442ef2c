"""What each guard, finding and residual means, in plain words, for reviewers who are no programmers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """`meaning` says when it speaks up, `why` what it protects from, `remedy` what to do."""

    meaning: str
    why: str
    remedy: str


GUARD_PAGES: Mapping[str, Page] = {
    "no-base": Page(
        "What git declared at the last complete run is not known, or cannot be trusted: the ledger is missing, was "
        "rewound or forged, belongs to another target, or names a commit that the one applied does not come from.",
        "Without that memory nothing that git once granted would ever be taken back, and nobody would notice.",
        "The plan's first line says what is wrong with the ledger and names the cure. A tenant that was never applied "
        "from git: `apply --first-run`. A renamed tenant, a new base URL, a rewritten history: `apply --continue-from "
        "ENTRY`. There is no override.",
    ),
    "incomplete-inventory": Page(
        "The plan creates users or groups although the list of those that exist could not be read completely.",
        "A short read looks exactly like an empty tenant. Acting on it creates everybody a second time.",
        "Run it again. If it stays, the service counts or pages wrongly: the plan's inventory line says how. Creates "
        "that a look-up of their own proves absent pass; the plan's notes say where look-ups prove nothing. "
        "There is no override.",
    ),
    "empty-desired": Page(
        "Git declares no user (or no group) at all, although it did before, or although `ownership` says that all live "
        "ones are its own.",
        "A wrong --root or a broken checkout must not read as 'nobody works here any more'.",
        "Check the folder. If git really is to own nothing, set `ownership` to `declared`.",
    ),
    "removal-share": Page(
        "More users or groups would be deactivated or deleted than 10 percent of the managed ones, or than 25 "
        "(more than 1 where there are fewer than 10, more than 5 where there are fewer than 50).",
        "A wrong merge that empties a file locks a contact center out.",
        "Read the list of removals in the plan. If it is right: --allow removal-share=N for this run, or another "
        "`guards: {removal-share: {percent: P, max: N}}` in tenant.yaml.",
    ),
    "access-loss": Page(
        "More users would lose a group, a role or an entitlement than 10 percent of the managed ones, or than 100 "
        "(more than 2 where there are fewer than 20). Access through nested groups counts.",
        "People can be locked out without anybody being deactivated.",
        "Read the effective losses in the plan. If they are right: --allow access-loss=N.",
    ),
    "membership-share": Page(
        "A group of four or more would lose more than half of its members, or a group its last active member.",
        "A group that is emptied by accident stops whatever is routed to it.",
        "If it is meant: --allow membership-share=N, N being the number of such groups.",
    ),
    "privileged-gain": Page(
        "Somebody would newly get a group or a role listed under `protected`, directly or through nested groups.",
        "Access to administration is what an attacker, or a slip, asks for first.",
        "Have the gain approved by somebody who may. Then --allow privileged-gain=N.",
    ),
    "update-share": Page(
        "More users or groups would be updated than 10 percent of the managed ones, or than 200 (5 always may). The "
        "first run is exempt.",
        "One slip in a file's `defaults` changes everybody.",
        "Read the updates in the plan. If they are right: --allow update-share=N.",
    ),
    "missing-share": Page(
        "More than 10 percent of what git declared at the last complete run is not in the tenant any more.",
        "It may be the wrong tenant, or somebody is deleting things there.",
        "Look at the tenant. If the resources are to be made again: --allow missing-share=N.",
    ),
    "protected": Page(
        "A user listed under `protected` would be deactivated, deleted or renamed; or somebody would lose a protected "
        "group or role; or a protected group would be deleted or renamed.",
        "Break-glass accounts and administrators are the way back in when something goes wrong.",
        "If it is meant: --allow protected=N.",
    ),
    "minimum-members": Page(
        "A group listed under `protected` would have fewer than two active members, and fewer than it has now.",
        "The last administrators cannot let anybody in any more, not even themselves.",
        "Keep enough members, set `guards: {minimum-members: N}` in tenant.yaml, or --allow minimum-members=N.",
    ),
    "self-lockout": Page(
        "The account that the reconciler itself signs in with, or the tenant's `authenticationSchemes`, would change.",
        "A run that locks itself out cannot be undone by the next one.",
        "Change it by hand where the service is administered. If it is meant: --allow self-lockout.",
    ),
    "identity-reuse": Page(
        "An inactive user would be adopted by userName alone, an externalId would land on a user whom git never knew "
        "as that person, or a userName or e-mail address would pass from one externalId to another.",
        "A recycled address must not inherit the access of the person who had it before.",
        "Find out whether it is the same person. If so: --allow identity-reuse=N. If not: give the new person another "
        "name, or delete the old account first. If a service keeps no externalId (apply says `not-stored`), do not "
        "declare it.",
    ),
    "drifted-reactivation": Page(
        "An inactive user would be activated again, and git did not change its mind about that since the last run.",
        "Somebody may have suspended the account in the tenant for a reason.",
        "Ask who suspended it. If it is to be active: --allow drifted-reactivation=N. If not: `active: false` in git.",
    ),
    "pending": Page(
        "People come from elsewhere (`people: external`), and a name in git is not in the tenant yet. The finding says "
        "what waits, and refuses nothing. The members of a group with pending names whom git does not name stay; the "
        "guard speaks up where `--allow` lets them go, and there are more of them than it says.",
        "Who is to come may be somebody who is there under another name; taking everybody else out first could leave a "
        "group empty, or stop work until the new people are there.",
        "Nothing: a later run gives access to those who have come, and then removes the others. If they are to leave "
        "now: --allow pending=N, and plan again.",
    ),
    "seats": Page(
        "Carrying out the plan would need more licences at some moment than the tenant has: those used now, and one "
        "for everybody who becomes active, less those whom the plan has deactivated by then.",
        "The service refuses everybody beyond the last licence, in the middle of a run.",
        "Free licences, buy more, or deactivate people in the same change: deactivations go first. --allow seats=N "
        "lets the run go N licences over what is there.",
    ),
    "nesting": Page(
        "A new nested membership would close a cycle, or make a chain of groups longer than `limits.nestedGroupDepth`.",
        "The service refuses it, or resolves it for ever.",
        "Change the nesting. The message names the chain. There is no override.",
    ),
    "exclusive": Page(
        "Somebody would hold more than one role or group of a set that a Policy declares exclusive.",
        "Separation of duties: who makes a payment does not check it.",
        "Take one of the two away. In an emergency: --allow exclusive=N.",
    ),
    "inactive-member": Page(
        "A membership would be given to a user who is, or would be, inactive.",
        "It gives nothing now, and everything on the day somebody reactivates the account.",
        "Remove the membership, or activate the user. If it is meant: --allow inactive-member=N.",
    ),
    "churn": Page(
        "Together with those of the last 24 hours, which the ledger remembers, more users or groups would be removed "
        "than twice what `removal-share` admits.",
        "Many small runs can do what one large run may not.",
        "Read who was removed today. If all of it is right: --allow churn=N.",
    ),
    "time-budget": Page(
        "Applying the plan is estimated to take longer than `--max-minutes` says.",
        "A run that a pipeline kills half way leaves work for the next one.",
        "Raise --max-minutes, raise `limits: {requestsPerMinute: N}` if the service admits more, or apply in parts.",
    ),
}

FINDING_PAGES: Mapping[str, Page] = {
    "overruled": Page(
        "A setting in tenant.yaml does not count, because the branch that judges the change, or the last complete run, "
        "has a stricter one: a limit of a guard, a protected name, what is owned, removed or unmanaged, a policy.",
        "Otherwise a change could first loosen what judges it, and then do what nobody would have let through.",
        "Merge and apply the new setting by itself. From then on it counts.",
    ),
    "override-waits": Page(
        "An Override in this change is not on the branch that judges it.",
        "Who asks for an exception does not grant it: an Override counts once it was merged.",
        "Merge the Override by a pull request of its own, then plan again.",
    ),
    "judged-alone": Page(
        "The branch that is to judge the change (`--policy-from`) does not have this tenant.",
        "There is nothing stricter to hold a new tenant against; its guards, policies and protected names are as the "
        "change says.",
        "Read its tenant.yaml with care.",
    ),
    "no-protected": Page(
        "tenant.yaml lists nothing under `guards: {protected: [...]}`.",
        "Then no account is known to be the way back in, and no group to be privileged.",
        "List break-glass users, administrators' groups (`group:NAME`) and roles (`role:VALUE`).",
    ),
    "adopted": Page(
        "A live user without externalId was matched by userName, and gets the externalId that git states.",
        "From then on the match no longer depends on the name.",
        "Make sure that it is the same person.",
    ),
    "renamed": Page(
        "People come from elsewhere (`people: external`), and the tenant calls somebody otherwise than git does.",
        "Git renames nobody there. It found the person by externalId; the name in git is only out of date.",
        "Write the name of now in git.",
    ),
    "inactive": Page(
        "People come from elsewhere (`people: external`), and somebody whom git names is inactive in the tenant.",
        "Roles and groups have no effect until whoever manages people activates the account.",
        "Nothing, if the person returns. Who has left for good can be taken out of git.",
    ),
    "job-open": Page(
        "A bulk request of an earlier run became a job on the service, and that run did not see the end of it.",
        "What is in the job may still be carried out. Sending it again could do it twice.",
        "Run `apply`: it asks after the job first and plans when it is over. If you know that it will never be carried "
        "out, `apply --take-over RUN` goes on without it.",
    ),
    "open-attempt": Page(
        "Another run said in the ledger that it is about to write to this tenant, and has not said that it is over.",
        "Two runs at once would work against each other, and this plan does not know what the other one is doing.",
        "Wait for its receipt, or for the time after which it sends nothing more; both are in the message. If you know "
        "that it is over, because it was killed for example: `apply --take-over RUN`.",
    ),
    "dirty": Page(
        "Files of the desired state are not those of the commit that is checked out: changed, not committed, or "
        "ignored by git although they are read.",
        "The ledger remembers commits. What is applied and is in none of them could never be taken back.",
        "Commit the files, or put them away; `git status --ignored` shows them. A plan can be made all the same.",
    ),
    "deletion-pending": Page(
        "Git took this user out. The account is inactive and is deleted once `removal: {deleteAfter: ...}` is over.",
        "Until then the person can come back to the same account.",
        "Nothing; declare the user again to keep the account.",
    ),
    "deletion-cancelled": Page(
        "Git took this user out and the account was to be deleted, but somebody reactivated it in the tenant.",
        "An account in use is not deleted behind anybody's back.",
        "Declare the user in git, or deactivate the account.",
    ),
    "tenant": Page(
        "A diff: git has the tenant only now, only before, or by another name; or tenant.yaml changes, a Policy or an "
        "Override.",
        "That changes no user and no group, and yet what is done to all of them: where requests go, what belongs to "
        "git, and what guards let through.",
        "Read the change of those files themselves. Plans judge by the stricter of both sides until it is applied.",
    ),
    "unseen": Page(
        "A drift: somebody or something that git declares is not in a list that could not be read completely.",
        "A short read looks exactly like a deletion.",
        "Run it again. If it stays, `reconciler doctor TENANT` says what is wrong with the lists.",
    ),
    "unfinished-runs": Page(
        "A drift: after the last complete run there were runs that did not do all of what git said.",
        "Drift is told against the last state that was proven as a whole. What those runs changed on purpose shows as "
        "if somebody else had done it.",
        "Apply until a run is complete, then ask again.",
    ),
    "authoritative": Page(
        "A diff: a group document lists all members of its group (`members`, not additive), and did not before.",
        "Whoever else is in the group in the tenant leaves it. Git alone does not know who that is.",
        "Look at the plan, which asks the tenant. `membership: additive` keeps those whom git does not name.",
    ),
    "given-up": Page(
        "Git does not declare this attribute any more, and it is one that is not cleared: it keeps its value.",
        "Clearing externalId, e-mail addresses, a required attribute or `active` would do more harm than good.",
        "Nothing; or declare the attribute with the value that it is to have.",
    ),
    "cosmetic": Page(
        "A value differs from git in upper and lower case only.",
        "The service compares it without case, and some services store it in their own case.",
        "Nothing; or write it in git as the service does.",
    ),
    "configuration": Page(
        "The ServiceProviderConfig is not as git asserts, and `mode: assert` only reports it.",
        "On most services it cannot be written.",
        "Change it where it is administered, or change git.",
    ),
    "name-ring": Page(
        "Two or more users (or groups) take each other's names in one plan.",
        "A service gives a name only once it is free, and in a ring none ever is: these changes will fail.",
        "Rename one of them to a name that is free, apply, then give it the name that it is to have.",
    ),
    "left-out": Page(
        "`reconciler import` did not declare something that is live: a user or group, or an attribute or members of "
        "one. The message says which rule stands against it.",
        "What git cannot name, or would read as something else, cannot be compared; declaring it would make a plan.",
        "Often nothing: what is not declared is left alone. Or mend it in the tenant (a name that two share, a "
        "membership of somebody who is gone), and declare it by hand.",
    ),
    "members-unreadable": Page(
        "The service does not show the members of a group.",
        "Nobody can be removed from a list that cannot be seen. What its members have through it is not known either: "
        "`exclusive`, `inactive-member` and the gains and losses of access are judged without them.",
        "Members are only added, again in every run, and apply ends with 6 because nothing proves it. Manage removals "
        "where the members can be seen.",
    ),
    "alike": Page(
        "A group would be created although one is there whose name differs in case, blanks or punctuation only, or who "
        "has the same name and another externalId; and nothing in git speaks of that one.",
        "A service that rewrites names does not show the group under the name that git gave it, and would be given "
        "another one in every run.",
        "If it is the same group: the lines that apply printed under `equivalences` in tenant.yaml, or its name in git "
        "as the service has it. If it is another one: nothing.",
    ),
    "members-unseen": Page(
        "Groups gain members, and no group in the whole tenant shows any member.",
        "Either all of them are empty, or the service never shows members. From outside both look the same. In the "
        "second case the same members are added in every plan, and `exclusive`, `inactive-member` and the gains and "
        "losses of access are judged as if nobody were in any group.",
        "Nothing if the groups are empty. Else members are only added, which changes nothing for those who are in "
        "already, and apply ends with 6 because nothing proves it. A PUT would remove whom git does not state: use "
        "`dialect: {groupUpdate: patch}`.",
    ),
}

RESIDUAL_PAGES: Mapping[str, Page] = {
    "rewritten": Page(
        "The service took a value and holds another one: in lower case, without blanks, derived from other attributes.",
        "Git and the tenant would differ in every plan, and the same update would be sent for ever.",
        "Write the value in git as the service has it, or put the lines that apply prints under `equivalences` in "
        "tenant.yaml: the next plan has nothing to do. First make sure that nobody else changed it meanwhile.",
    ),
    "not-stored": Page(
        "The service took a value and shows nothing of it.",
        "It does not know the attribute, or keeps it to itself. No plan can ever find it as declared.",
        "Do not declare the attribute for this tenant. Without externalId people and groups are told apart by name.",
    ),
    "not-changed": Page(
        "The service said that it wrote a value and still shows the one from before.",
        "It may not let the attribute be changed, or derive it from others. A plain 200 proves nothing.",
        "Write the value in git as the service has it, or do not declare the attribute. Only where the service makes "
        "this of the value each time: the line that apply prints for `equivalences`.",
    ),
    "not-cleared": Page(
        "Git says that an attribute is empty, or has fewer values, and the service keeps what it had.",
        "Some services merge what a PUT brings into what is there, others do not clear by PATCH.",
        "Try the other verb: `dialect: {userUpdate: patch}` or `put`, for groups `groupUpdate`.",
    ),
    "cut-short": Page(
        "The service keeps fewer values of an attribute than were sent, for example one e-mail address.",
        "It does not have as many places for them.",
        "Declare only those that it keeps.",
    ),
    "not-found": Page(
        "The service said that it created something, and reading does not find it.",
        "It may be slow to show what it has. Nothing proves that it is there, and a second create could double it.",
        "Plan again later. If it stays away, ask whoever runs the service before applying again.",
    ),
    "members-not-shown": Page(
        "Members were added to a group that shows nobody.",
        "The service may not show members at all, or not have taken them; from outside both look the same.",
        "Look at the group in the service itself. If it does not show members over SCIM: each run adds them again, "
        "which changes nothing, and nobody is ever removed; a PUT may remove whom git does not state, so prefer "
        "`dialect: {groupUpdate: patch}`.",
    ),
    "members-not-added": Page(
        "Members were added to a group, and are not in it.",
        "Some services ignore the members in a create, in a PUT, or in a PATCH.",
        "After a create: apply again. Else try the other verb: `dialect: {groupUpdate: patch}` or `put`.",
    ),
    "members-not-removed": Page(
        "Members were removed from a group, and are still in it.",
        "Whoever was to lose access still has it.",
        "Try the other verb: `dialect: {groupUpdate: put}` or `patch`. Until it works, remove them in the service.",
    ),
    "not-written": Page(
        "An attribute that this run did not write is not as declared any more.",
        "Somebody else changed it meanwhile, or the service does so when something else is written.",
        "Plan again, and look who changed it.",
    ),
}
