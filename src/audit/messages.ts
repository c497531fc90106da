import { defineQuery } from '../kernel/message.ts';
import { Audit } from './audit.ts';

export const QueryAudit = defineQuery(Audit, { route: 'GET /audits', source: 'ingot', caller: 'admin' });
