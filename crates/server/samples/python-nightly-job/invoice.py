"""Totals of an invoice in the customer's currency."""

from decimal import Decimal

from billing.rates import Rates


def total(lines, currency, rates=None):
    rates = rates or Rates.load()
    net = sum((Decimal(line["net"]) for line in lines), Decimal(0))
    return (net * rates.rate(currency)).quantize(Decimal("0.01"))
