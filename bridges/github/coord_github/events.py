"""Which events of GitHub's webhooks lead to a look, and which are not used. By name, so that a new
one is noticed.

Their contents are not used: a delivery only says that something is new, and a look at both sides
finds what. So nothing depends on the order of deliveries, or on all of them.
"""

from __future__ import annotations

ISSUES = ("issues", "issue_comment", "sub_issues", "issue_dependencies", "label", "milestone")
PULLS = (
    *("pull_request", "push", "status"),
    *("check_run", "check_suite", "workflow_run", "workflow_job"),
)
USED = frozenset((*ISSUES, *PULLS))
NOT_USED = frozenset(
    (
        *("branch_protection_rule", "code_scanning_alert", "commit_comment", "create", "delete"),
        *("dependabot_alert", "deploy_key", "deployment", "deployment_review"),
        *("deployment_status", "discussion", "discussion_comment", "fork"),
        *("github_app_authorization", "gollum", "installation", "installation_repositories"),
        *("marketplace_purchase", "member", "membership", "merge_group", "meta", "organization"),
        *("org_block", "package", "page_build", "ping", "project", "project_card"),
        *("project_column", "projects_v2_item", "public", "pull_request_review"),
        *("pull_request_review_comment", "pull_request_review_thread", "release"),
        *("repository_dispatch", "repository", "repository_import"),
        *("repository_vulnerability_alert", "security_advisory", "sponsorship", "star", "team"),
        *("team_add", "watch", "workflow_dispatch"),
    )
)


def leads_to_a_look(kind: str) -> bool:
    """Is this the type of an event that coord-webhook wrote of a delivery that is used?"""
    space, _, rest = kind.partition(".")
    return space == "github" and rest.partition(".")[0] in USED
