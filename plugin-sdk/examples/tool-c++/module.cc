// wordcount: a module in C++ with one tool, which counts a text's words on a pool thread.
#include <algorithm>
#include <map>
#include <memory>
#include <openclaw/json.h>
#include <openclaw/module.h>
#include <string>
#include <vector>

OC_MODULE_MANIFEST("module.json");

namespace {

struct wordcount {
	const oc_host_api *host;
	oc_self *self;
};

// One call on its way: written by the pool thread, read on the loop thread afterwards.
struct task {
	wordcount *module;
	oc_call *call;
	std::string text, result;
};

oc_status init(const oc_host_api *host, oc_self *self, oc_str, void **ret_inst) try {
	*ret_inst = new wordcount{host, self};
	return OC_OK;
} catch (const std::bad_alloc &) {
	return OC_E_NOMEM; // no exception may leave a module
}

void fini(void *inst)
{
	delete static_cast<wordcount *>(inst);
}

oc_str tools(void *)
{
	return OC_STR(R"([{"name":"wordcount","description":"Counts the words, lines and bytes of a text",
		"parameters":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}])");
}

// On a pool thread: nothing of the host but what the header marks [any].
void count(void *arg) try {
	auto *t = static_cast<task *>(arg);
	std::map<std::string, size_t> seen;
	std::string word;
	size_t words = 0, lines = 1;
	for (unsigned char c : t->text + ' ') {
		lines += c == '\n';
		if (c > ' ') {
			word += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
		} else if (!word.empty()) {
			words++;
			seen[word]++;
			word.clear();
		}
	}
	std::vector<std::pair<std::string, size_t>> order(seen.begin(), seen.end());
	std::stable_sort(order.begin(), order.end(), [](const auto &a, const auto &b) { return a.second > b.second; });
	std::string said = std::to_string(words) + " words, " + std::to_string(lines) + " lines, " + std::to_string(t->text.size()) + " bytes";
	for (size_t i = 0; i < order.size() && i < 3; i++)
		said += (i == 0 ? "; most frequent: " : ", ") + order[i].first + " (" + std::to_string(order[i].second) + ")";
	std::vector<char> quoted(6 * said.size() + 3);
	ocj_quote(oc_str{said.c_str(), said.size()}, quoted.data(), quoted.size());
	t->result = std::string(R"({"content":[{"type":"text","text":)") + quoted.data() + "}]}";
} catch (const std::bad_alloc &) {
	static_cast<task *>(arg)->result.clear();
}

// Back on the loop thread.
void counted(void *arg, oc_status status)
{
	std::unique_ptr<task> t(static_cast<task *>(arg));
	if (status == OC_OK && t->result.empty())
		status = OC_E_NOMEM;
	t->module->host->call_done(t->call, status, status == OC_OK ? oc_str{t->result.c_str(), t->result.size()} : OC_STR("not counted"));
}

void invoke(void *inst, oc_call *call, oc_str, oc_str args, oc_str) try {
	auto *w = static_cast<wordcount *>(inst);
	oc_str value{"", 0};
	(void)ocj_get(args, "text", &value);
	auto t = std::make_unique<task>(task{w, call, std::string(value.n + 1, '\0'), {}});
	t->text.resize(ocj_text(value, t->text.data(), t->text.size()));
	oc_status status = w->host->work(w->self, count, counted, t.get());
	if (status == OC_OK)
		(void)t.release(); // counted() has it
	else
		w->host->call_done(call, status, OC_STR("there is no thread for it now"));
} catch (const std::bad_alloc &) {
	static_cast<wordcount *>(inst)->host->call_done(call, OC_E_NOMEM, OC_STR("out of memory"));
}

const oc_tool_vtbl vtbl = {.struct_size = sizeof(vtbl), .flags = 0, .tools = tools, .invoke = invoke, .cancel = nullptr, .session_end = nullptr};
const oc_iface ifaces[] = {{OC_KIND_TOOL, 1, 0, "wordcount", &vtbl}};
const oc_module_desc desc = {
	.magic = OC_MODULE_MAGIC, .struct_size = sizeof(desc), .abi_major = OC_ABI_MAJOR, .abi_minor = OC_ABI_MINOR, .abi_min_minor = 0,
	.reserved0 = 0, .flags = 0, .name = "wordcount", .version = "0.1.0", .ifaces = ifaces, .n_ifaces = 1,
	.init = init, .start = nullptr, .stop = nullptr, .fini = fini, .reload = nullptr,
};

} // namespace

OC_MODULE(&desc);
