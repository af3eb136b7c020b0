import { BACKENDS } from '../../support/idproxy-under-test.ts';
import { describeExchange } from './exchange-contract.ts';

describeExchange('the embedded store', BACKENDS.embedded);
