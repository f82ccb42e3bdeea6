//! How a receiver verifies a signature, in five languages, with what each of them brings along.

/// A receiver in one language.
pub(super) struct Receiver {
    pub(super) language: &'static str,
    pub(super) code: &'static str,
}

/// The message that is signed is `webhook-id.webhook-timestamp.body`; the key is the base64 text behind `whsec_`.
pub(super) const RECEIVERS: &[Receiver] = &[
    Receiver {
        language: "Python",
        code: r#"import base64, hashlib, hmac, os, time

def verify(headers, body):
    key = base64.b64decode(os.environ["TELEPATH_WEBHOOK_SECRET"].removeprefix("whsec_"))
    if abs(time.time() - int(headers["webhook-timestamp"])) > 300:
        return False
    signed = f'{headers["webhook-id"]}.{headers["webhook-timestamp"]}.'.encode() + body
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest("v1," + mac, one) for one in headers["webhook-signature"].split())"#,
    },
    Receiver {
        language: "JavaScript",
        code: r#"import { createHmac, timingSafeEqual } from "node:crypto";

export function verify(headers, body) {
  const key = Buffer.from(process.env.TELEPATH_WEBHOOK_SECRET.replace("whsec_", ""), "base64");
  if (Math.abs(Date.now() / 1000 - Number(headers["webhook-timestamp"])) > 300) return false;
  const mac = createHmac("sha256", key)
    .update(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`).update(body).digest("base64");
  const expected = Buffer.from(`v1,${mac}`);
  return headers["webhook-signature"].split(" ").some((one) =>
    one.length === expected.length && timingSafeEqual(Buffer.from(one), expected));
}"#,
    },
    Receiver {
        language: "Go",
        code: r#"func verify(h http.Header, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("TELEPATH_WEBHOOK_SECRET"), "whsec_"))
	at, notNumber := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || notNumber != nil || time.Since(time.Unix(at, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "."))
	mac.Write(body)
	expected := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, one := range strings.Fields(h.Get("webhook-signature")) {
		if hmac.Equal([]byte(one), []byte(expected)) {
			return true
		}
	}
	return false
}"#,
    },
    Receiver {
        language: "Ruby",
        code: r##"require "openssl"

def verify(headers, body)
  key = ENV.fetch("TELEPATH_WEBHOOK_SECRET").delete_prefix("whsec_").unpack1("m")
  return false if (Time.now.to_i - headers["webhook-timestamp"].to_i).abs > 300
  signed = "#{headers["webhook-id"]}.#{headers["webhook-timestamp"]}.#{body}"
  expected = "v1," + [OpenSSL::HMAC.digest("SHA256", key, signed)].pack("m0")
  headers["webhook-signature"].split.any? { |one| OpenSSL.secure_compare(one, expected) }
end"##,
    },
    Receiver {
        language: "PHP",
        code: r#"function verify(array $headers, string $body): bool {
    $key = base64_decode(substr(getenv('TELEPATH_WEBHOOK_SECRET'), strlen('whsec_')));
    if (abs(time() - (int) $headers['webhook-timestamp']) > 300) {
        return false;
    }
    $signed = "{$headers['webhook-id']}.{$headers['webhook-timestamp']}.$body";
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', $signed, $key, true));
    foreach (explode(' ', $headers['webhook-signature']) as $one) {
        if (hash_equals($expected, $one)) {
            return true;
        }
    }
    return false;
}"#,
    },
];
