//! Sums with `+ - * /` and brackets, as whatever a server works out when it is asked.

/// The value of a sum, or nothing where there is none. What a stranger asks is short, or no sum: each
/// bracket is a call inside a call.
pub(crate) fn evaluate(text: &str) -> Option<f64> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let mut rest = Rest(text.trim());
    let value = rest.sum()?;
    (rest.0.is_empty() && value.is_finite()).then_some(value)
}

/// What has not been read yet; never starts with a space.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn sum(&mut self) -> Option<f64> {
        let mut value = self.product()?;
        while let Some(sign) = self.take(&['+', '-']) {
            let right = self.product()?;
            value = if sign == '+' { value + right } else { value - right };
        }
        Some(value)
    }

    fn product(&mut self) -> Option<f64> {
        let mut value = self.factor()?;
        while let Some(sign) = self.take(&['*', '/']) {
            let right = self.factor()?;
            value = if sign == '*' { value * right } else { value / right };
        }
        Some(value)
    }

    fn factor(&mut self) -> Option<f64> {
        if self.take(&['-']).is_some() {
            return Some(-self.factor()?);
        }
        if self.take(&['(']).is_some() {
            let value = self.sum()?;
            return self.take(&[')']).map(|_| value);
        }
        let end = self.0.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.0.len());
        let (number, rest) = self.0.split_at(end);
        self.0 = rest.trim_start();
        number.parse().ok()
    }

    fn take(&mut self, signs: &[char]) -> Option<char> {
        let sign = self.0.chars().next().filter(|sign| signs.contains(sign))?;
        self.0 = self.0[sign.len_utf8()..].trim_start();
        Some(sign)
    }
}

const MAX_BYTES: usize = 200;
