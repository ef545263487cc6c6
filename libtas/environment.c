/*
 * environment.c - see environment.h.
 */
#include "environment.h"
#include <unistd.h>
#include "heritage.h"

size_t lt_env_count(char *const envp[])
{
	size_t n = 0;

	while (envp != NULL && envp[n] != NULL)
		n++;
	return n;
}

/* The entry of that name, or NULL. */
static char *entry(char *const envp[], const char *name)
{
	size_t i, len = strlen(name);

	for (i = 0; envp != NULL && envp[i] != NULL; i++)
		if (strncmp(envp[i], name, len) == 0 && envp[i][len] == '=')
			return envp[i];
	return NULL;
}

bool lt_env_has(char *const envp[], const char *name)
{
	return entry(envp, name) != NULL;
}

/* The variable as this process has it, for a program whose environment lacks it. */
static size_t keep(char **to, size_t n, char *const envp[], const char *name)
{
	char *ours = entry(environ, name);

	if (ours != NULL && !lt_env_has(envp, name))
		to[n++] = ours;
	return n;
}

size_t lt_env_copy(char **to, char *const envp[])
{
	size_t n = 0, i;

	for (i = 0; envp != NULL && envp[i] != NULL; i++)
		if (strncmp(envp[i], LT_HERITAGE "=", sizeof(LT_HERITAGE)) != 0)
			to[n++] = envp[i];
	n = keep(to, n, envp, "LD_PRELOAD");
	return keep(to, n, envp, TAS_SOCKET_ENV);
}
