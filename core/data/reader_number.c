/* Numbers of JSON and JSON5. */
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/data/reader_int.h"

static bool digit_at(const struct reader *r, size_t at)
{
	return at < r->n && r->p[at] >= '0' && r->p[at] <= '9';
}

static oc_status set_number(cJSON *item, double value)
{
	if (item != NULL) {
		item->type = cJSON_Number;
		cJSON_SetNumberHelper(item, value);
	}
	return OC_OK;
}

/* A whole number that a double may not hold keeps its digits, for printing: it may be somebody's id. */
static oc_status set_long_number(struct reader *r, cJSON *item, double value, const char *digits, size_t n)
{
	if (item != NULL && (item->valuestring = oc_read_take(r, n + 1)) == NULL)
		return oc_read_no_memory(r);
	if (item != NULL)
		memcpy(item->valuestring, digits, n); /* zeroed before */
	return set_number(item, value);
}

static oc_status convert_number(struct reader *r, size_t start, bool whole, cJSON *item)
{
	const char *p = r->p + start;
	size_t n = r->at - start;
	if (whole && n <= 15) {
		bool negative = *p == '-';
		int64_t value = 0;
		for (size_t i = *p == '-' || *p == '+'; i < n; i++)
			value = value * 10 + (p[i] - '0');
		return set_number(item, negative ? -(double)value : (double)value);
	}
	char small[64], *copy = small;
	if (n >= sizeof small && (copy = oc_alloc(n + 1)) == NULL)
		return oc_read_no_memory(r);
	memcpy(copy, p, n);
	copy[n] = 0;
	char *point = strchr(copy, '.');
	if (point != NULL)
		*point = localeconv()->decimal_point[0]; /* strtod follows the locale */
	double value = strtod(copy, NULL);
	if (copy != small)
		oc_free(copy);
	if (!isfinite(value))
		return oc_read_bad(r, OC_E_INVALID, start, "", "the number is too large");
	return whole && *p != '+' ? set_long_number(r, item, value, p, n) : set_number(item, value);
}

static oc_status hex_number(struct reader *r, size_t digits, cJSON *item)
{
	double value = 0;
	size_t start = r->at;
	int d;
	for (r->at = digits; r->at < r->n && (d = oc_read_hex_digit(r->p[r->at])) >= 0; r->at++)
		value = value * 16 + d;
	if (r->at == digits)
		return oc_read_unexpected(r, "a hexadecimal digit");
	if (!isfinite(value))
		return oc_read_bad(r, OC_E_INVALID, start, "", "the number is too large");
	return set_number(item, r->p[start] == '-' ? -value : value);
}

oc_status oc_read_number(struct reader *r, cJSON *item)
{
	size_t start = r->at, i = start;
	if (i < r->n && (r->p[i] == '-' || (r->json5 && r->p[i] == '+')))
		i++;
	if (r->json5 && i + 1 < r->n && r->p[i] == '0' && (r->p[i + 1] == 'x' || r->p[i + 1] == 'X'))
		return hex_number(r, i + 2, item);
	if (r->json5 && i < r->n && (r->p[i] == 'I' || r->p[i] == 'N'))
		return oc_read_bad(r, OC_E_INVALID, i, "", "Infinity and NaN are not allowed");
	size_t digits = i;
	while (digit_at(r, i))
		i++;
	size_t whole = i - digits;
	if (whole > 1 && r->p[digits] == '0')
		return oc_read_bad(r, OC_E_INVALID, digits, "Remove the leading zero.", "a number cannot begin with 0");
	bool plain = true;
	size_t fraction = 0;
	if (i < r->n && r->p[i] == '.' && (whole > 0 || r->json5)) {
		plain = false;
		for (i++; digit_at(r, i); i++)
			fraction++;
		if (fraction == 0 && (!r->json5 || whole == 0)) {
			r->at = i;
			return oc_read_unexpected(r, "a digit after the decimal point");
		}
	}
	r->at = i;
	if (whole + fraction == 0)
		return oc_read_unexpected(r, "a digit");
	if (i < r->n && (r->p[i] == 'e' || r->p[i] == 'E')) {
		plain = false;
		i++;
		if (i < r->n && (r->p[i] == '+' || r->p[i] == '-'))
			i++;
		r->at = i;
		if (!digit_at(r, i))
			return oc_read_unexpected(r, "a digit of the exponent");
		while (digit_at(r, i))
			i++;
		r->at = i;
	}
	return convert_number(r, start, plain, item);
}
