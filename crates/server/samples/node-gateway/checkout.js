// Turns a cart into a charge and pays it.

export class PaymentRefused extends Error {}

/** Amounts are in the smallest unit of the currency. */
export function toCharge(cart) {
  return {
    cart: cart.id,
    currency: cart.currency,
    amount: cart.price.amount,
    description: `Cart ${cart.id}`,
  };
}

export async function pay(cart, payments) {
  const charge = toCharge(cart);
  const answer = await payments.charge(charge);
  if (!answer.ok) throw new PaymentRefused(answer.reason);
  return answer.receipt;
}
