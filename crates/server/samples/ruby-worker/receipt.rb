# The receipt that a customer gets by mail.
class Receipt
  def initialize(order, mailer)
    @order = order
    @mailer = mailer
  end

  def deliver
    @mailer.send_mail(to: @order.email, subject: subject, body: render)
  end

  # Orders from the new checkout have no paid_at until the bank confirms.
  def render
    lines = @order.lines.map { |line| "#{line.title}: #{line.total}" }
    "Paid on #{@order.paid_at.strftime('%d %B %Y')}\n#{lines.join("\n")}"
  end

  def subject
    "Your order #{@order.number}"
  end
end
