/*
 * The layout of ABI 1.0, frozen: what modules in the field were compiled with.  Never changed once 1.0 is released; a later
 * minor adds a file of its own.  Offsets stay for ever, sizes may only grow (EXACT ones never).
 */
#ifndef OC_TESTS_FROZEN_V1_0_H
#define OC_TESTS_FROZEN_V1_0_H

#include <openclaw/module.h>

#ifdef __cplusplus
#define OC_FROZEN(what, text) static_assert(what, text)
#else
#define OC_FROZEN(what, text) _Static_assert(what, text)
#endif
#define EXACT(type, bytes) OC_FROZEN(sizeof(type) == (bytes), #type " has changed its size")
#define GROWS(type, bytes) OC_FROZEN(sizeof(type) >= (bytes), #type " has become smaller")
#define AT(type, member, offset) OC_FROZEN(offsetof(type, member) == (offset), #type "." #member " has moved")
#define IS(name, value) OC_FROZEN((name) == (value), #name " has changed its value")

/* ---- Numbers ---- */

IS(OC_ABI_MAJOR, 1);
IS(OC_MODULE_MAGIC, 0x314c434fu);
IS(OC_LOG_ERROR, 1);
IS(OC_LOG_WARN, 2);
IS(OC_LOG_INFO, 3);
IS(OC_LOG_DEBUG, 4);
IS(OC_LOG_TRACE, 5);
IS(OC_FD_READ, 1);
IS(OC_FD_WRITE, 2);
IS(OC_FD_HANGUP, 4);
IS(OC_EV_TEXT, 1);
IS(OC_EV_THINKING, 2);
IS(OC_EV_TOOL_CALL, 3);
IS(OC_EV_USAGE, 4);
IS(OC_EV_PROGRESS, 5);
IS(OC_EV_HTTP_HEAD, 6);
IS(OC_EV_HTTP_BODY, 7);
IS(OC_EV_BLOCK, 8);
IS(OC_KIND_CHANNEL, 1);
IS(OC_KIND_PROVIDER, 2);
IS(OC_KIND_TOOL, 3);
IS(OC_KIND_STORAGE, 4);
IS(OC_KIND_MEMORY, 5);
IS(OC_KIND_HTTP, 6);
IS(OC_KIND_HOOK, 7);
IS(OC_KIND_SERVICE, 8);
IS(OC_CHANNEL_EDITS, 1);
IS(OC_CHANNEL_MEDIA, 2);
IS(OC_CHANNEL_THREADS, 4);
IS(OC_CHANNEL_IDEMPOTENT, 8);
IS(OC_HTTP_PUBLIC, 1);
IS(OC_MODULE_THREADS, 1);
IS(OC_HTTP_CLIENT_GUARD, 1);
IS(OC_HTTP_CLIENT_SSE, 2);
IS(OC_PROCESS_STDIN, 1);
IS(OC_PROCESS_MERGE, 2);
IS(OC_OK, 0);
IS(OC_E_INVALID, -1);
IS(OC_E_NOMEM, -2);
IS(OC_E_IO, -3);
IS(OC_E_NOT_FOUND, -4);
IS(OC_E_EXISTS, -5);
IS(OC_E_DENIED, -6);
IS(OC_E_AUTH, -7);
IS(OC_E_LIMIT, -8);
IS(OC_E_TIMEOUT, -9);
IS(OC_E_CANCELED, -10);
IS(OC_E_BUSY, -11);
IS(OC_E_UNAVAILABLE, -12);
IS(OC_E_UNSUPPORTED, -13);
IS(OC_E_PROTOCOL, -14);
IS(OC_E_CORRUPT, -15);
IS(OC_E_VERSION, -16);
IS(OC_E_STATE, -17);
IS(OC_E_RATE_LIMIT, -18);
IS(OC_E_QUOTA, -19);
IS(OC_E_CONTEXT, -20);
IS(OC_E_BLOCKED, -21);
IS(OC_E_RETRY, -22);
IS(OC_E_RESTART, -23);
IS(OC_E_INTERNAL, -24);

/* ---- Structures ---- */

EXACT(oc_str, 16);
AT(oc_str, p, 0);
AT(oc_str, n, 8);

GROWS(oc_host_api, 152);
AT(oc_host_api, struct_size, 0);
AT(oc_host_api, abi_major, 4);
AT(oc_host_api, abi_minor, 6);
AT(oc_host_api, log, 8);
AT(oc_host_api, alloc, 16);
AT(oc_host_api, free, 24);
AT(oc_host_api, buf_new, 32);
AT(oc_host_api, buf_ref, 40);
AT(oc_host_api, buf_unref, 48);
AT(oc_host_api, buf_str, 56);
AT(oc_host_api, post, 64);
AT(oc_host_api, work, 72);
AT(oc_host_api, timer, 80);
AT(oc_host_api, fd, 88);
AT(oc_host_api, unwatch, 96);
AT(oc_host_api, call_event, 104);
AT(oc_host_api, call_done, 112);
AT(oc_host_api, now_ms, 120);
AT(oc_host_api, secret, 128);
AT(oc_host_api, query, 136);
AT(oc_host_api, service_call, 144);

GROWS(oc_channel_vtbl, 64);
AT(oc_channel_vtbl, struct_size, 0);
AT(oc_channel_vtbl, flags, 4);
AT(oc_channel_vtbl, connect, 8);
AT(oc_channel_vtbl, send, 16);
AT(oc_channel_vtbl, edit, 24);
AT(oc_channel_vtbl, action, 32);
AT(oc_channel_vtbl, cancel, 40);
AT(oc_channel_vtbl, disconnect, 48);
AT(oc_channel_vtbl, probe, 56);

GROWS(oc_provider_vtbl, 32);
AT(oc_provider_vtbl, struct_size, 0);
AT(oc_provider_vtbl, flags, 4);
AT(oc_provider_vtbl, chat, 8);
AT(oc_provider_vtbl, models, 16);
AT(oc_provider_vtbl, cancel, 24);

GROWS(oc_tool_vtbl, 40);
AT(oc_tool_vtbl, struct_size, 0);
AT(oc_tool_vtbl, flags, 4);
AT(oc_tool_vtbl, tools, 8);
AT(oc_tool_vtbl, invoke, 16);
AT(oc_tool_vtbl, cancel, 24);
AT(oc_tool_vtbl, session_end, 32);

GROWS(oc_http_request, 104);
AT(oc_http_request, struct_size, 0);
AT(oc_http_request, flags, 4);
AT(oc_http_request, method, 8);
AT(oc_http_request, path, 24);
AT(oc_http_request, query, 40);
AT(oc_http_request, headers, 56);
AT(oc_http_request, body, 72);
AT(oc_http_request, remote, 88);

GROWS(oc_http_vtbl, 24);
AT(oc_http_vtbl, struct_size, 0);
AT(oc_http_vtbl, flags, 4);
AT(oc_http_vtbl, request, 8);
AT(oc_http_vtbl, cancel, 16);

GROWS(oc_hook_vtbl, 32);
AT(oc_hook_vtbl, struct_size, 0);
AT(oc_hook_vtbl, flags, 4);
AT(oc_hook_vtbl, subscriptions, 8);
AT(oc_hook_vtbl, handle, 16);
AT(oc_hook_vtbl, cancel, 24);

GROWS(oc_service_vtbl, 24);
AT(oc_service_vtbl, struct_size, 0);
AT(oc_service_vtbl, flags, 4);
AT(oc_service_vtbl, call, 8);
AT(oc_service_vtbl, cancel, 16);

EXACT(oc_iface, 24);
AT(oc_iface, kind, 0);
AT(oc_iface, ver_major, 4);
AT(oc_iface, ver_minor, 6);
AT(oc_iface, id, 8);
AT(oc_iface, vtbl, 16);

GROWS(oc_module_desc, 96);
AT(oc_module_desc, magic, 0);
AT(oc_module_desc, struct_size, 4);
AT(oc_module_desc, abi_major, 8);
AT(oc_module_desc, abi_minor, 10);
AT(oc_module_desc, abi_min_minor, 12);
AT(oc_module_desc, reserved0, 14);
AT(oc_module_desc, flags, 16);
AT(oc_module_desc, name, 24);
AT(oc_module_desc, version, 32);
AT(oc_module_desc, ifaces, 40);
AT(oc_module_desc, n_ifaces, 48);
AT(oc_module_desc, init, 56);
AT(oc_module_desc, start, 64);
AT(oc_module_desc, stop, 72);
AT(oc_module_desc, fini, 80);
AT(oc_module_desc, reload, 88);

GROWS(oc_http_client_request, 176);
AT(oc_http_client_request, struct_size, 0);
AT(oc_http_client_request, flags, 4);
AT(oc_http_client_request, method, 8);
AT(oc_http_client_request, url, 24);
AT(oc_http_client_request, headers, 40);
AT(oc_http_client_request, body, 56);
AT(oc_http_client_request, timeout_ms, 72);
AT(oc_http_client_request, idle_ms, 80);
AT(oc_http_client_request, max_bytes, 88);
AT(oc_http_client_request, retries, 96);
AT(oc_http_client_request, max_redirects, 100);
AT(oc_http_client_request, on_head, 104);
AT(oc_http_client_request, on_data, 112);
AT(oc_http_client_request, on_sse, 120);
AT(oc_http_client_request, on_done, 128);
AT(oc_http_client_request, arg, 136);
AT(oc_http_client_request, on_body, 144);
AT(oc_http_client_request, body_bytes, 152);
AT(oc_http_client_request, proxy, 160);

GROWS(oc_http_client_host, 32);
AT(oc_http_client_host, struct_size, 0);
AT(oc_http_client_host, flags, 4);
AT(oc_http_client_host, start, 8);
AT(oc_http_client_host, cancel, 16);
AT(oc_http_client_host, pause, 24);

GROWS(oc_process_options, 48);
AT(oc_process_options, struct_size, 0);
AT(oc_process_options, flags, 4);
AT(oc_process_options, spec, 8);
AT(oc_process_options, on_output, 24);
AT(oc_process_options, on_exit, 32);
AT(oc_process_options, arg, 40);

GROWS(oc_process_host, 48);
AT(oc_process_host, struct_size, 0);
AT(oc_process_host, flags, 4);
AT(oc_process_host, spawn, 8);
AT(oc_process_host, write, 16);
AT(oc_process_host, close_stdin, 24);
AT(oc_process_host, kill, 32);
AT(oc_process_host, pid, 40);

GROWS(oc_channel_host, 32);
AT(oc_channel_host, struct_size, 0);
AT(oc_channel_host, flags, 4);
AT(oc_channel_host, receive, 8);
AT(oc_channel_host, state, 16);
AT(oc_channel_host, media_dir, 24);

GROWS(oc_kv_host, 24);
AT(oc_kv_host, struct_size, 0);
AT(oc_kv_host, flags, 4);
AT(oc_kv_host, get, 8);
AT(oc_kv_host, put, 16);

#undef OC_FROZEN
#undef EXACT
#undef GROWS
#undef AT
#undef IS

#endif
