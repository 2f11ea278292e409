"""A budget that mails."""

from __future__ import annotations

from aws_cdk import aws_budgets as budgets
from constructs import Construct


class Budget(Construct):
    """Mails when the account's bill of a month, as it is or as it is forecast, passes a limit."""

    def __init__(self, scope: Construct, name: str, *, prefix: str, dollars: int, email: str) -> None:
        super().__init__(scope, name)
        heard = [budgets.CfnBudget.SubscriberProperty(subscription_type="EMAIL", address=email)]
        budgets.CfnBudget(
            self,
            "Monthly",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=prefix,
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=dollars, unit="USD"),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        notification_type=kind, comparison_operator="GREATER_THAN", threshold=100
                    ),
                    subscribers=heard,
                )
                for kind in ("ACTUAL", "FORECASTED")
            ],
        )
